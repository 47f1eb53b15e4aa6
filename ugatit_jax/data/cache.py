"""Load-size uint8 images, decoded when first asked for and then kept: in memory, in a file, or not at all."""

import hashlib
import json
import logging
import os
import pathlib
import shutil
import zlib
from typing import BinaryIO

import numpy as np
import PIL
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import atomic_file
from ugatit_jax.data.datasets import load_image
from ugatit_jax.data.sources.open_source import Source

logger = logging.getLogger(__name__)

VERSION = 1  # of the pixels; changes with decode.py and preprocess.py


class Images:
    """The images of a source fitted to [size, size, C]; `rows` and `checks`, where given, keep those that were read."""

    def __init__(
        self,
        source: Source,
        size: int,
        channels: int,
        fit: str,
        background: tuple[int, int, int],
        rows: np.ndarray | None = None,
        checks: np.ndarray | None = None,
    ):
        self.source, self.shape = source, (size, size, channels)
        self._fit, self._background = fit, background
        self._rows, self._checks = rows, checks
        self._trusted = np.zeros(len(source), bool)  # written or verified by this process

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, i: int) -> np.ndarray:
        """Image i as uint8 [size, size, C]; not to be written to."""
        if self._rows is None:
            return self._read(i)
        if not self._trusted[i]:
            if self._checks is None or self._checks[i] == 0 or self._checks[i] != checksum(self._rows[i]):
                self._rows[i] = self._read(i)
                if self._checks is not None:
                    self._checks[i] = checksum(self._rows[i])
            self._trusted[i] = True  # last: another thread may look at any time, and would at worst do the same again
        return self._rows[i]

    def _read(self, i: int) -> np.ndarray:
        pixels = load_image(self.source, i, self.shape[0], self._fit, self._background)
        if pixels.shape != self.shape:
            raise UserError(
                f'{self.source.name}: {self.source.keys[i]} has {pixels.shape[2]} channels, expected {self.shape[2]}'
            )
        return pixels


def bytes_needed(counts_and_channels: list[tuple[int, int]], size: int) -> int:
    """Bytes of the load-size images of all domains."""
    return sum(count * channels * size * size for count, channels in counts_and_channels)


def cached_images(sources: dict[str, Source], size: int, config: ConfigDict, in_memory: bool = True) -> dict[str, Images]:
    """Wraps the sources with the cache that `data.cache_dir` and, if `in_memory`, `data.cache_mb` ask for."""
    data = config.data
    channels = {domain: data[f'channels_{domain}'] for domain in sources}
    needed = bytes_needed([(len(source), channels[domain]) for domain, source in sources.items()], size) / 2**20
    if data.cache_dir:
        place = f'in {data.cache_dir}'
    elif not in_memory:
        place = None
    elif needed <= data.cache_mb and needed <= free_memory_mb():
        place = 'in memory'
    else:
        place = None
        logger.info(
            'images are decoded again each epoch: keeping them takes %.0f MB, data.cache_mb=%g, free memory %.0f MB; '
            'data.cache_dir=DIR keeps them in a file',
            needed,
            data.cache_mb,
            free_memory_mb(),
        )
    if place:
        logger.info('decoded images are kept %s: %.0f MB', place, needed)
    background = tuple(data.background)
    images = {}
    for domain, source in sources.items():
        shape = (len(source), size, size, channels[domain])
        rows = checks = None
        if data.cache_dir:
            rows, checks = map_cache_file(data.cache_dir, source, shape, data.fit, background)
        elif place:
            rows = np.zeros(shape, np.uint8)  # takes no memory yet: the operating system allocates pages as they are written
        images[domain] = Images(source, size, channels[domain], data.fit, background, rows, checks)
    return images


def map_cache_file(
    cache_dir: str, source: Source, shape: tuple[int, int, int, int], fit: str, background: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Memory-maps the cache file of a source, and creates it first where there is none.

    Returns pixels, uint8 of `shape`, and a checksum for each image, uint32 [n], 0 where it is not in the file yet. Raises
    UserError where the file cannot be used.
    """
    identity = json.dumps([source.fingerprint(), shape, fit, background, PIL.__version__, VERSION])
    path = pathlib.Path(cache_dir) / f'images-{hashlib.sha256(identity.encode()).hexdigest()[:20]}.uint8'
    pixels = int(np.prod(shape))
    size = pixels + 4 * shape[0]
    try:
        if not path.exists():
            create_cache_file(path, size)
        if path.stat().st_size != size:
            raise UserError(
                f'{path} has {path.stat().st_size} bytes instead of {size}: delete it, the next run creates it again'
            )
        flat = np.memmap(path, np.uint8, mode='r+', shape=(size,))
    except OSError as error:
        raise UserError(f'data.cache_dir={cache_dir}: {error}; {size / 2**20:.0f} MB are needed there') from error
    return flat[:pixels].reshape(shape), flat[pixels:].view(np.uint32)


def create_cache_file(path: pathlib.Path, size: int) -> None:
    """Creates a file of `size` zeros with all its blocks; raises UserError where the disk has too little room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise UserError(
            f'data.cache_dir={path.parent}: {size / 2**20:.0f} MB are needed, {free / 2**20:.0f} MB are free; '
            'choose another folder, or leave data.cache_dir unset'
        )
    with atomic_file(str(path)) as partial, open(partial, 'r+b') as file:
        # all blocks now: a full disk would kill the process without a message when it writes to the mapped file
        allocate(file, size)


def allocate(file: BinaryIO, size: int) -> None:
    """Extends an empty file to `size` zeros that have their blocks on disk; raises OSError where it is full."""
    if hasattr(os, 'posix_fallocate'):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(2**20)  # macOS has no such call: 1 MB of zeros at a time
    for start in range(0, size, len(block)):
        file.write(block[: size - start])


def checksum(row: np.ndarray) -> int:
    """CRC of an image, never 0: after a power failure a checksum may be on disk without its pixels."""
    return zlib.crc32(np.ascontiguousarray(row)) or 1


def free_memory_mb() -> float:
    """Memory that programs can still take, in MB; infinite where the system does not say."""
    try:
        with open('/proc/meminfo') as file:
            fields = dict(line.split(':', 1) for line in file)
        return int(fields['MemAvailable'].split()[0]) / 2**10
    except (OSError, KeyError):  # not Linux
        return float('inf')
