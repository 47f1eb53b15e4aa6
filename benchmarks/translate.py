"""Speed of translation: images per second of one light generator, from host memory to host memory.

    python -m benchmarks.translate
    python -m benchmarks.translate --seams=1280      # also compares tiled with untiled at that size

Medians over several rounds after one that compiles. vs_pytorch.py measures translation beside the official code.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.common import configure, make_parser, publish, table, timed, versions
from ugatit_jax.checkpoint.generators import LoadedGenerators
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.translator import DEFAULT_TILE, Translator

Run = Callable[[np.ndarray], np.ndarray]


def make_translator(options: argparse.Namespace, batch_size: int, tile: int = 0) -> Translator:
    """A light model as the PyTorch release's, with random weights."""
    config = configure(
        {
            'model.reference': 'pytorch',
            'model.weight_init': 'normal',
            'model.ch': options.ch,
            'model.n_res': options.n_res,
            'model.n_layers_global': 2,
            'model.n_layers_local': 2,  # the least: no discriminator is made, and deep ones would refuse small images
            'data.image_size': options.image_size,
            'training.compute_dtype': options.compute_dtype,
            'training.scan_blocks': options.scan_blocks,
        }
    )
    generator = make_networks(config).genA2B
    x = np.zeros((1, 32, 32, 3), np.float32)  # parameters of light models do not depend on the size
    params = jax.device_get(jax.jit(generator.init)(jax.random.key(0, impl='unsafe_rbg'), x)['params'])
    # biases and rho away from their initial values, and larger weights: differences between programs should show
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda w: w + 0.05 * rng.standard_normal(w.shape, np.float32), params)
    return Translator(LoadedGenerators('none/checkpoints/0', 0, config, 'raw', {'genA2B': params}), 'a2b', tile, batch_size)


def take_times(run: Run, images: np.ndarray, rounds: int) -> tuple[list[float], list[float]]:
    """Wall-clock and CPU seconds of each of several calls, after one that compiles."""
    run(images)
    _, wall, cpu = zip(*(timed(run, images) for _ in range(rounds)))
    return list(wall), list(cpu)


def measure_seams(options: argparse.Namespace) -> dict[str, float]:
    """Tiled against untiled on one image: largest difference in [-1, 1], that of tiles translated alone, and seconds."""
    side, tile, patch = options.seams, options.tile, 32  # patches of one colour, so that tiles differ in their statistics
    rng = np.random.default_rng(1)
    small = rng.uniform(-1, 1, (-(-side // patch), -(-side // patch), 3)).astype(np.float32)
    image = small.repeat(patch, 0).repeat(patch, 1)[None, :side, :side]
    whole, tiled = make_translator(options, 1), make_translator(options, 1, tile)
    runs = {'untiled': lambda x: whole.run(x).image, 'tiled': lambda x: tiled.tiled(x[0])[0][None]}
    out, seconds = {}, {}
    for name, run in runs.items():
        run(image)
        start = time.perf_counter()
        out[name] = run(image)
        seconds[name] = time.perf_counter() - start
    alone = np.zeros_like(out['untiled'])
    for i in range(0, side, tile):
        for j in range(0, side, tile):
            alone[:, i : i + tile, j : j + tile] = whole.run(image[:, i : i + tile, j : j + tile]).image
    return {
        'difference of tiled from untiled': float(abs(out['tiled'] - out['untiled']).max()),
        'difference of tiles with their own statistics': float(abs(alone - out['untiled']).max()),
        **{f'seconds {name}': value for name, value in seconds.items()},
    }


@dataclasses.dataclass
class Row:
    """One line of the table."""

    batch_size: int
    median: float  # images/s
    lowest: float
    highest: float
    cpu_seconds: float  # per image, over all cores: comparable on a machine that others use too


def main() -> int:
    """The command line."""
    parser = make_parser('translate', __doc__)
    parser.add_argument('--batch_sizes', default='1,8')
    parser.add_argument('--image_size', type=int, default=256)
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--n_res', type=int, default=4)
    parser.add_argument('--compute_dtype', default='float32', help='float32 or bfloat16')
    parser.add_argument(
        '--scan_blocks', action=argparse.BooleanOptionalAction, help='residual blocks as a loop (default: as in training)'
    )
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--seams', type=int, default=0, metavar='SIDE', help='also compare tiled with untiled at this size')
    parser.add_argument('--tile', type=int, default=DEFAULT_TILE, help='of --seams (default: %(default)s)')
    options = parser.parse_args()
    configure_process('off')
    return run_command(lambda: measure(options))


def measure(options: argparse.Namespace) -> None:
    """Measures, prints the table and writes --json."""
    info, rows, result = versions(), [], {}
    for batch_size in map(int, options.batch_sizes.split(',')):
        translator = make_translator(options, batch_size)
        images = np.random.default_rng(0).uniform(-1, 1, (batch_size, *2 * [options.image_size], 3)).astype(np.float32)
        wall, cpu = take_times(lambda x, t=translator: t.run(x).image, images, options.rounds)
        rates = [batch_size / seconds for seconds in wall]
        rows.append(Row(batch_size, statistics.median(rates), min(rates), max(rates), statistics.median(cpu) / batch_size))
    if options.seams:
        result |= measure_seams(options)
    head = [field.name.replace('_', ' ') for field in dataclasses.fields(Row)]
    print(table(head, [dataclasses.astuple(row) for row in rows]))
    for name, value in result.items():
        print(f'{name}: {value:.3g}')
    publish(info, options, [dataclasses.asdict(row) for row in rows] + [result])


if __name__ == '__main__':
    sys.exit(main())
