"""Small generators beside the teachers that they learn from: operations, size, and seconds for an image of 256x256.

    python -m benchmarks.students [--rounds=9] [--students='NAME;...']
    python -m benchmarks.students --compress [--checkpoint=emoji]
    python -m benchmarks.students --depthwise

The first is the table of docs/distill.md: each with fresh weights, by ONNX Runtime on --threads threads and by JAX, medians
of rounds in which all take turns. The second is what else makes a trained generator smaller: weights rounded to float16 and
to int8 by channel, and the smallest channels of the residual blocks set to 0, on test images; and how much gamma and beta of
AdaLIN depend on the image. The third is CPU milliseconds of depthwise convolutions, and of their gradients, in two forms.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import onnxruntime

from benchmarks.common import configure, make_parser, publish, table, timed, versions
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.compiler import portable
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.config.student import student_config
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.export.onnx_graph import INPUT, generator_model
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.generator import Generator
from ugatit_jax.models.networks import make_networks
from ugatit_jax.models.ops.depthwise import depthwise, shifted_products

SIDE = 256
DEFAULT = default.get_config()
STUDENT = {  # what config/student.py sets, and stem_norm as the emoji teacher has it
    name: value for name, value in student_config(resolve(DEFAULT), '').model.items() if value != DEFAULT.model[name]
} | {'stem_norm': False}
WHOLE_PIXELS = STUDENT | {'pixel_unshuffle': 1}
STUDENTS = {  # fields of model
    'light teacher': {},
    'emoji teacher': {'ch': 32, 'n_res': 2, 'stem_norm': False},
    'student (default)': STUDENT,
    'ch 16': STUDENT | {'ch': 16},
    'ch 24': STUDENT | {'ch': 24},
    'ch 48': STUDENT | {'ch': 48},
    'n_res 4': STUDENT | {'n_res': 4},
    'no image_skip': STUDENT | {'image_skip': False},
    'IN': STUDENT | {'decoder_norm': 'in', 'up_norm': 'in'},
    'n_down 2': STUDENT | {'n_down': 2},
    'stem_kernel 7': STUDENT | {'stem_kernel': 7},
    'dense, ch 16': STUDENT | {'ch': 16, 'separable': False},
    'pixel_unshuffle 1, n_down 2, ch 16': WHOLE_PIXELS | {'ch': 16, 'n_down': 2},
    'pixel_unshuffle 1, n_down 2, ch 32': WHOLE_PIXELS | {'ch': 32, 'n_down': 2},
    'pixel_unshuffle 1, n_down 3, ch 8': WHOLE_PIXELS | {'ch': 8, 'n_down': 3},
    'pixel_unshuffle 1, n_down 3, ch 16': WHOLE_PIXELS | {'ch': 16, 'n_down': 3},
}


def main() -> int:
    """The command line."""
    parser = make_parser('students', __doc__)
    parser.add_argument('--students', default='', metavar='NAME;...', help='names of STUDENTS (default: all)')
    parser.add_argument('--rounds', type=int, default=9, help='(default: %(default)s)')
    parser.add_argument('--threads', type=int, default=2, help='of ONNX Runtime (default: %(default)s)')
    parser.add_argument('--compress', action='store_true', help='the second table')
    parser.add_argument('--depthwise', action='store_true', help='the third table')
    parser.add_argument('--checkpoint', default='emoji', help='of --compress (default: %(default)s)')
    options = parser.parse_args()
    configure_process()
    table_of = depthwise_forms if options.depthwise else compress if options.compress else measure
    return run_command(lambda: table_of(options))


def multiply_adds(generator: Generator, params: Any, image: np.ndarray) -> float:
    """Of one image, as XLA counts the operations of the plain form."""
    with portable():
        apply = generator.clone(unroll=generator.n_res + 1).apply
        lowered = jax.jit(lambda params, image: apply({'params': params}, image).image).lower(params, image)
    return lowered.cost_analysis()['flops'] / 2


def measure(options: argparse.Namespace) -> None:
    """Measures, prints the table and writes --json; raises UserError for a name that is none of STUDENTS."""
    names = options.students.split(';') if options.students else list(STUDENTS)
    if unknown := [name for name in names if name not in STUDENTS]:
        raise UserError(f'--students: there is no {unknown[0]!r}; names are {"; ".join(STUDENTS)}')
    info, rng = versions(), np.random.default_rng(0)
    image = rng.uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)
    about, runs = {}, {}
    for name in names:
        fields = {f'model.{field}': value for field, value in STUDENTS[name].items()}
        config = configure({'loss.cam_weight': 0.0} | fields)
        generator = make_networks(config).genA2B
        shapes = jax.eval_shape(generator.init, jax.random.key(0), image)['params']
        params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)
        count = sum(leaf.size for leaf in jax.tree.leaves(params))
        about[name] = [multiply_adds(generator, params, image) / 1e9, count / 1e3, 2 * count / 1e6]
        runs[name] = onnx_run(generator, params, image, options.threads), jax_run(generator, params, image)
        for run in runs[name]:
            run()
    times = {name: ([], [], []) for name in runs}
    for _ in range(options.rounds):
        for name, (by_onnx, by_jax) in runs.items():
            _, wall, cpu = timed(by_onnx)
            for values, value in zip(times[name], (wall, cpu, timed(by_jax)[1])):
                values.append(value)
    rows = []
    for name, measured in times.items():
        fewer = [about[teacher][0] / about[name][0] if teacher in about else None for teacher in list(STUDENTS)[:2]]
        rows.append([name, *about[name], *fewer, *(1e3 * float(np.median(values)) for values in measured)])
    head = [
        'generator',
        'G multiply-adds',
        'thousand weights',
        'MB in float16',
        'fewer than light',
        'than the emoji teacher',
    ]
    print(table([*head, 'ONNX Runtime ms', 'CPU ms of it', 'JAX ms'], rows))
    publish(info, options, rows)


def onnx_run(generator: Generator, params: Any, image: np.ndarray, threads: int) -> Callable[[], Any]:
    """A call of ONNX Runtime."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    model = generator_model(generator, params, channels=image.shape[3], batch=1, size=SIDE)
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=['CPUExecutionProvider'])
    images = np.ascontiguousarray(image.transpose(0, 3, 1, 2))
    return lambda: session.run(None, {INPUT: images})


def jax_run(generator: Generator, params: Any, image: np.ndarray) -> Callable[[], Any]:
    """A call of the compiled JAX generator."""
    forward, params = compiled_generator(generator), jax.device_put(params)
    return lambda: jax.block_until_ready(forward(params, image).image)


def depthwise_forms(options: argparse.Namespace) -> None:
    """The table of --depthwise: XLA's grouped convolution and the sum of shifted products."""

    def grouped(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
        with portable():
            return depthwise(x, kernel, stride)

    forms = {'grouped': grouped, 'shifted products': shifted_products}
    info, rows, rng = versions(), [], np.random.default_rng(0)
    for side, channels, stride in ((130, 16, 1), (257, 16, 2), (34, 128, 1)):
        x, kernel = (rng.normal(size=shape).astype(np.float32) for shape in ((1, side, side, channels), (3, 3, 1, channels)))
        for name, form in forms.items():
            convolve = partial(form, stride=stride)
            gradients = jax.jit(lambda x, kernel, dy, convolve=convolve: jax.vjp(convolve, x, kernel)[1](dy))
            y, times = jax.jit(convolve)(x, kernel), []
            for run, inputs in ((jax.jit(convolve), (x, kernel)), (gradients, (x, kernel, y))):
                jax.block_until_ready(run(*inputs))
                calls = [timed(lambda run=run, inputs=inputs: jax.block_until_ready(run(*inputs))) for _ in range(15)]
                times.append(1e3 * float(np.median([cpu for _, _, cpu in calls])))
            rows.append([f'{side}x{side}x{channels}, stride {stride}', name, *times])
    print(table(['map', 'form', 'CPU ms', 'of both gradients'], rows))
    publish(info, options, rows)


def compress(options: argparse.Namespace) -> None:
    """The table of --compress."""
    info, rows = versions(), []
    loaded = load_generators(options.checkpoint)
    for name, params in loaded.generator.items():
        generator, domain = make_networks(loaded.config).module(name), name[3]
        source = open_source(loaded.config, domain, 'test')
        images = normalize(np.stack([source.read(i) for i in range(0, len(source), max(len(source) // 24, 1))]))
        forward = compiled_generator(generator)

        def translated(weights: Any, forward: Any = forward, images: np.ndarray = images) -> np.ndarray:
            return np.concatenate([np.asarray(forward(weights, image[None]).image) for image in images])

        whole = translated(params)
        forms = {'float16': rounded(params, as_float16), 'int8 by channel': rounded(params, as_int8)}
        forms |= {f'{share:.0%} of inner channels are 0': pruned(params, share) for share in (0.1, 0.25, 0.5)}
        for form, weights in forms.items():
            error = translated(weights) - whole
            rows.append([name, form, float(10 * np.log10(4 / np.square(error).mean()))])
        if generator.decoder_norm == 'adalin':
            for affine, share in adaptivity(generator, params, images).items():
                rows.append([name, f'{affine}: deviation over images / over channels', share])
    print(table(['generator', 'what', 'PSNR dB beside float32, or ratio'], rows))
    publish(info, options, rows)


def rounded(params: Any, form: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The parameters with all kernels in a form."""
    return jax.tree.map_with_path(lambda path, leaf: form(leaf) if path[-1].key == 'kernel' else leaf, params)


def as_float16(kernel: np.ndarray) -> np.ndarray:
    """A kernel as float16 keeps it."""
    return kernel.astype(np.float16).astype(np.float32)


def as_int8(kernel: np.ndarray) -> np.ndarray:
    """A kernel [..., in, out] as int8 keeps it, with a scale for each output channel (and each block of a stack)."""
    axes = tuple(range(kernel.ndim - 1)) if kernel.ndim < 5 else (1, 2, 3)
    scale = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-12) / 127
    return (np.round(kernel / scale) * scale).astype(np.float32)


def pruned(params: Any, share: float) -> Any:
    """The parameters without those channels between a block's two convolutions whose kernels have the smallest norms."""
    params = dict(params)
    for part in ('encoder', 'decoder'):
        convs = [params[part][f'conv_{i}'] for i in (0, 1)]
        first, second = (conv.get('pointwise', conv)['kernel'] for conv in convs)  # [n_res, k, k, in, out]
        norms = np.linalg.norm(first, axis=(1, 2)).sum(axis=1)  # [n_res, out]
        kept = norms >= np.quantile(norms, share, axis=1, keepdims=True)
        kernel = {'kernel': second * kept[:, None, None, :, None]}
        changed = {'pointwise': convs[1]['pointwise'] | kernel} if 'pointwise' in convs[1] else kernel
        params[part] = params[part] | {'conv_1': convs[1] | changed}
    return params


def adaptivity(generator: Generator, params: Any, images: np.ndarray) -> dict[str, float]:
    """How much AdaLIN's gamma and beta depend on the image: deviation over images, by that over channels."""
    names = ('gamma', 'beta')

    @jax.jit
    def affine(image: jax.Array) -> Any:
        _, captured = generator.apply(
            {'params': params}, image, capture_intermediates=lambda m, _: m.name in names, mutable=['intermediates']
        )
        return {name: captured['intermediates'][name]['__call__'][0][0] for name in names}

    found = [affine(image[None]) for image in images]
    values = {name: np.stack([one[name] for one in found]) for name in names}  # [n, C]
    return {name: float(value.std(axis=0).mean() / value.mean(axis=0).std()) for name, value in values.items()}


if __name__ == '__main__':
    sys.exit(main())
