"""Size, seconds an image, and difference from JAX of everything that ugatit_jax.export writes: the table of docs/export.md.

    python -m benchmarks.export [--image_size=256] [--ch=64]
    python -m benchmarks.export --checkpoint=WORKDIR

Without --checkpoint the generator is the default light one with fresh weights, and the images are drawn faces.
The smallest time of --repeats counts, as others may use the machine; CPU seconds are summed over all cores.
"""

import argparse
import importlib
import pathlib
import sys
import tempfile
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.common import configure, make_parser, publish, table, timed, versions
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.checkpoint.model_folder import write_model_folder
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize
from ugatit_jax.export.formats import FORMATS
from ugatit_jax.export.sample_images import sample_images
from ugatit_jax.export.single_file import export_file
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.networks import make_networks


def main() -> int:
    """The command line."""
    parser = make_parser('export', __doc__)
    parser.add_argument('--checkpoint', metavar='WORKDIR', help='a run or model folder (default: fresh weights)')
    parser.add_argument('--image_size', type=int, default=256)
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--formats', default=','.join(FORMATS), metavar='SUFFIX,...', help='default: %(default)s')
    parser.add_argument('--repeats', type=int, default=5)
    options = parser.parse_args()
    configure_process()
    return run_command(lambda: measure(options))


def fresh_model(folder: pathlib.Path, image_size: int, ch: int) -> str:
    """Writes genA2B of the default config with fresh weights; returns the folder."""
    config = configure({'data.source': 'synthetic:faces', 'data.image_size': image_size, 'model.ch': ch})
    # parameters do not depend on the size, which only has to fit
    params = jax.jit(make_networks(config).genA2B.init)(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))['params']
    write_model_folder(folder, config, 0, 'raw', {'genA2B': jax.device_get(params)}, 'float32')
    return str(folder)


def measure(options: argparse.Namespace) -> None:
    """Measures, prints the table and writes --json."""
    info, rows = versions(), []
    with tempfile.TemporaryDirectory() as place:
        checkpoint = options.checkpoint or fresh_model(pathlib.Path(place), options.image_size, options.ch)
        loaded = load_generators(checkpoint, names=('genA2B',))
        side = loaded.config.data.image_size
        image = normalize(sample_images(loaded.config, 'a2b', side).compared[:1])
        forward = compiled_generator(make_networks(loaded.config).genA2B)
        params = jax.device_put(loaded.generator['genA2B'])
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(loaded.generator)) / 1e6
        rows.append(
            ['JAX', 'float32', size, *fastest(lambda: np.asarray(forward(params, image).image), options.repeats), '']
        )
        for suffix in options.formats.split(','):
            form = FORMATS[suffix]
            module = importlib.import_module(f'ugatit_jax.export.{form.module}')
            for dtype in form.dtypes:
                to = pathlib.Path(place, f'{dtype}{suffix}')
                try:
                    lines = export_file(checkpoint, str(to), direction='a2b', dtype=dtype, size=str(side), batch='1')
                except UserError as error:
                    rows.append([suffix, dtype, None, None, None, str(error)])
                    continue
                run = module.load(str(to))
                seconds = fastest(lambda run=run: run(image), options.repeats)
                rows.append([suffix, dtype, to.stat().st_size / 1e6, *seconds, lines[-1].strip()])
                print(rows[-1], file=sys.stderr)
    head = ['format', 'dtype', 'MB', 'seconds', 'CPU seconds', 'difference']
    print(table(head, rows))
    publish(info, options, rows)


def fastest(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The smallest wall-clock and CPU seconds of a call, after one that compiles."""
    run()
    _, wall, cpu = zip(*(timed(run) for _ in range(repeats)))
    return min(wall), min(cpu)


if __name__ == '__main__':
    sys.exit(main())
