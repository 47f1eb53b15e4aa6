"""Speed of the data path alone: images per second, the scan at the start, and how long an accelerator would be idle.

    python -m benchmarks.data                                  # makes 256x256 JPEGs in a temporary folder
    python -m benchmarks.data --source=folder:PATH --step_ms=80,40,20 --json=data.json

A train step is simulated by --step_ms of sleep: like an accelerator's, it leaves the host free. Give the measured time.
"""

import argparse
import itertools
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator

import jax
import numpy as np
import PIL
from ml_collections import ConfigDict
from PIL import Image

from benchmarks.common import make_parser, publish, table, versions
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.config import default
from ugatit_jax.data import Datasets, device_resident, open_datasets, train_batches
from ugatit_jax.data.augment import augment
from ugatit_jax.data.pipeline import Batch
from ugatit_jax.data.sources.synthetic import Synthetic

WARM_UP = 8  # batches: more than the pipeline makes ahead
FACES = 20  # drawn per domain, then varied by grain: drawing takes longer than encoding


def make_folder(root: str, count: int, size: int = 256) -> None:
    """Writes `count` JPEGs of size x size into trainA and trainB each, with grain: about as large as photographs."""
    faces = {domain: Synthetic(domain, 'train', size) for domain in 'AB'}
    rng = np.random.default_rng(0)
    for domain, source in faces.items():
        folder = pathlib.Path(root) / f'train{domain}'
        folder.mkdir(parents=True)
        images = [source.read(i) for i in range(min(FACES, count))]
        for i in range(count):
            grain = np.repeat(np.repeat(rng.normal(0, 20, (size // 2, size // 2, 3)), 2, 0), 2, 1)
            noisy = np.clip(images[i % len(images)] + grain, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f'{i:06d}.jpg', quality=90)


def images_per_second(batches: Iterator[Batch], batch_size: int, seconds: float) -> float:
    """Both domains' images per second over about `seconds`, after warming up."""
    for _ in itertools.islice(batches, WARM_UP):
        pass
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        steps += 1
    return 2 * batch_size * steps / (time.perf_counter() - start)


def idle_share(batches: Iterator[Batch], step_seconds: float, seconds: float) -> float:
    """Share of the time that an accelerator with steps of `step_seconds` is idle because it is input-bound.

    As in the train loop, a step is started without waiting for its end, and the loop is at most one step ahead.
    """
    for _ in itertools.islice(batches, WARM_UP):
        pass
    start = time.perf_counter()
    free_at, idle = start, 0.0  # the accelerator has done all its steps at free_at
    while time.perf_counter() - start < seconds:
        next(batches)
        now = time.perf_counter()
        idle += max(0.0, now - free_at)
        step_start = max(now, free_at)
        free_at = step_start + step_seconds
        time.sleep(max(0.0, step_start - now))
    return idle / (free_at - start)


def measure_resident(datasets: Datasets, config: ConfigDict, seconds: float) -> float:
    """Images per second of sampling and augmenting on the device, compiled."""
    resident = device_resident.load(datasets.train_A, datasets.train_B, config)
    key = jax.random.key(0)

    @jax.jit
    def draw(resident: device_resident.ResidentImages, step: jax.Array) -> dict[str, jax.Array]:
        batch = device_resident.draw_batch(resident, step, config.data.batch_size, config.seed)
        return augment(batch, jax.random.fold_in(key, step), image_size=config.data.image_size)

    jax.block_until_ready(draw(resident, 0))
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        jax.block_until_ready(draw(resident, steps))
        steps += 1
    return 2 * config.data.batch_size * steps / (time.perf_counter() - start)


def measure(options: argparse.Namespace, folder: str) -> list[tuple[str, float, str]]:
    """All measurements as (name, value, unit)."""
    config = default.get_config()
    config.data.source = options.source or f'folder:{folder}'
    config.data.image_size, config.data.batch_size = options.image_size, options.batch_size
    rows = []
    os.environ['XDG_CACHE_HOME'] = os.path.join(folder, 'cache')  # so that the first scan finds no cached results
    for name in ('scan, first', 'scan, again'):
        start = time.perf_counter()
        datasets = open_datasets(config)
        rows.append((name, time.perf_counter() - start, 's'))
    pair = datasets.train_A, datasets.train_B
    rows.append(('images', sum(map(len, pair)), ''))

    kinds = {
        'decoded each time': {'cache_mb': 0.0},
        'cached in memory': {'cache_mb': 1e6},
        'cached in a file': {'cache_dir': os.path.join(folder, 'images')},
    }
    for name, settings in kinds.items():
        config.data.update(settings)
        batches = train_batches(*pair, config)
        if 'cached' in name:  # filled by one pass over the larger domain
            for _ in itertools.islice(batches, -(-max(map(len, pair)) // options.batch_size)):
                pass
        rows.append((name, images_per_second(batches, options.batch_size, options.seconds), 'images/s'))
        for step_ms in map(float, options.step_ms.split(',')):
            share = idle_share(batches, step_ms / 1e3, options.seconds)
            rows.append((f'{name}, idle at {step_ms:g} ms a step', 100 * share, '%'))
    rows.append(('device resident, sampled and augmented', measure_resident(datasets, config, options.seconds), 'images/s'))
    return rows


def measure_all(options: argparse.Namespace) -> None:
    """Measures and prints everything."""
    with tempfile.TemporaryDirectory() as folder:
        if not options.source:
            make_folder(folder, options.images)
        rows = measure(options, folder)
    rounded = [(name, value if value < 1e3 else round(value), unit) for name, value, unit in rows]
    print(table(('measurement', 'value', 'unit'), rounded))
    about = versions() | {'numpy': np.__version__, 'pillow': PIL.__version__}
    publish(about, options, {name: value for name, value, _ in rows})


def main() -> int:
    """The command line."""
    parser = make_parser('data', __doc__)
    parser.add_argument('--source', help='folder:PATH and so on (default: JPEGs made in a temporary folder)')
    parser.add_argument('--images', type=int, default=300, help='made per domain (default: 300)')
    parser.add_argument('--image_size', type=int, default=256)
    parser.add_argument('--batch_size', type=int, default=1)
    parser.add_argument('--seconds', type=float, default=4.0, help='per measurement (default: 4)')
    parser.add_argument('--step_ms', default='50,20,10', help='simulated train steps (default: %(default)s)')
    options = parser.parse_args()
    configure_process('off')
    return run_command(lambda: measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
