"""Load-size uint8 images, decoded when first asked for and then kept: in memory, in a file, or not at all."""

import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
import zlib

import numpy as np
import PIL
from ml_collections import ConfigDict

from ugatit_jax.data.sources.open_source import Source, load_image
from ugatit_jax.errors import UserError

_logger = logging.getLogger(__name__)

_VERSION = 1  # of the pixels; changes with decode.py and preprocess.py


class Images:
    """The images of a source fitted to [size, size, C]; `rows` and `checks` keep those that were read."""

    def __init__(
        self,
        source: Source,
        size: int,
        channels: int,
        fit: str,
        background: tuple,
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
            if self._checks is None or self._checks[i] == 0 or self._checks[i] != _checksum(self._rows[i]):
                self._rows[i] = self._read(i)
                if self._checks is not None:
                    self._checks[i] = _checksum(self._rows[i])
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
    elif needed <= data.cache_mb and needed <= _free_memory_mb():
        place = 'in memory'
    else:
        place = None
        _logger.info(
            'images are decoded again each epoch: keeping them takes %.0f MB, data.cache_mb=%g, free memory %.0f MB; '
            'data.cache_dir=DIR keeps them in a file',
            needed,
            data.cache_mb,
            _free_memory_mb(),
        )
    if place:
        _logger.info('decoded images are kept %s: %.0f MB', place, needed)
    wrapped = {}
    for domain, source in sources.items():
        shape = (len(source), size, size, channels[domain])
        background = tuple(data.background)
        rows = checks = None
        if data.cache_dir:
            rows, checks = _open_file(data.cache_dir, source, shape, data.fit, background)
        elif place:
            rows = np.zeros(shape, np.uint8)  # the operating system hands the pages out as they are written
        wrapped[domain] = Images(source, size, channels[domain], data.fit, background, rows, checks)
    return wrapped


def _open_file(cache_dir: str, source: Source, shape: tuple, fit: str, background: tuple):
    """Maps the cache file of a source: pixels, then one checksum per image (0: not there yet)."""
    identity = json.dumps([source.fingerprint(), shape, fit, background, PIL.__version__, _VERSION])
    path = pathlib.Path(cache_dir) / f'images-{hashlib.sha256(identity.encode()).hexdigest()[:20]}.uint8'
    pixels = int(np.prod(shape))
    size = pixels + 4 * shape[0]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path, size)
        if path.stat().st_size != size:
            raise UserError(f'{path} has {path.stat().st_size} bytes instead of {size}: delete it, it will be made again')
        flat = np.memmap(path, np.uint8, mode='r+', shape=(size,))
    except OSError as error:
        raise UserError(f'data.cache_dir={cache_dir}: {error}; {size / 2**20:.0f} MB are wanted there') from error
    return flat[:pixels].reshape(shape), flat[pixels:].view(np.uint32)


def _create(path: pathlib.Path, size: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise UserError(
            f'data.cache_dir={path.parent}: {size / 2**20:.0f} MB are wanted, {free / 2**20:.0f} MB are free; '
            'choose another folder, or leave data.cache_dir unset'
        )
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            # All blocks now: running out of space in a mapped file would kill the process without a word.
            _allocate(file, size)
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)


def _allocate(file, size: int) -> None:
    if hasattr(os, 'posix_fallocate'):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    block = bytes(2**20)  # macOS
    for start in range(0, size, len(block)):
        file.write(block[: size - start])


def _checksum(row: np.ndarray) -> int:
    """CRC of an image, never 0: a machine that went down may have kept the checksum and not the pixels."""
    return zlib.crc32(np.ascontiguousarray(row)) or 1


def _free_memory_mb() -> float:
    try:
        with open('/proc/meminfo') as file:
            fields = dict(line.split(':', 1) for line in file)
        return int(fields['MemAvailable'].split()[0]) / 2**10
    except (OSError, KeyError):  # not Linux
        return float('inf')
