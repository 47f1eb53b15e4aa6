"""Data sets of TensorFlow Datasets: the CycleGAN ones by their splits, Oxford-IIIT Pet by species and head box.

Images stay encoded in memory (a few hundred MB at most) and are decoded by decode.py like all others.
"""

import dataclasses
import functools
import hashlib
import logging
import socket
import urllib.parse
import urllib.request
import zlib
from typing import Any

import numpy as np

from ugatit_jax.data.decode import DecodeError, Probe, decode, probe
from ugatit_jax.data.sources.splits import MissingSplit
from ugatit_jax.errors import UserError, named_line

_logger = logging.getLogger(__name__)

_PETS = 'oxford_iiit_pet'
_TEST_SHARE = 12  # every 12th pet image with a head box is a test image: the set's own test split has no boxes


@dataclasses.dataclass(frozen=True)
class Example:
    """An encoded image; `box` is (ymin, xmin, ymax, xmax) in [0, 1] of the part to be used."""

    key: str
    data: bytes
    box: tuple[float, float, float, float] | None = None


class TfdsSource:
    """Examples of a TFDS split in a fixed order."""

    def __init__(self, name: str, examples: list[Example], channels: int, background: tuple[int, int, int], draft_side: int):
        self.name = name
        self.keys = [example.key for example in examples]
        self._examples = examples
        self._channels, self._background, self._draft_side = channels, background, draft_side

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i, cut to its box, as uint8 [h, w, channels], or DecodeError."""
        example = self._examples[i]
        draft_side = self._draft_side if example.box is None else 0  # the box's part would become too small
        return cut(decode(example.data, self._channels, self._background, draft_side), example.box)

    def probe(self, i: int) -> Probe:
        """Reads image i in full for the scan, or DecodeError; the size is that of its box."""
        example = self._examples[i]
        found = probe(example.data, self._channels)
        if example.box is None:
            return found
        ymin, xmin, ymax, xmax = example.box
        return dataclasses.replace(
            found, width=round((xmax - xmin) * found.width), height=round((ymax - ymin) * found.height)
        )

    def stamp(self, i: int) -> str:
        """Changes when the image or its box changes."""
        return f'{len(self._examples[i].data)}:{zlib.crc32(self._examples[i].data)}:{self._examples[i].box}'

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        stamps = [self.stamp(i) for i in range(len(self))]
        parts = [self.name, self._channels, self._background, self._draft_side, self.keys, stamps]
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def open_tfds(
    name: str,
    domain: str,
    split: str,
    *,
    data_dir: str | None,
    download: bool,
    head_margin: float,
    channels: int,
    background: tuple[int, int, int],
    draft_side: int,
) -> TfdsSource:
    """Opens domain 'A' or 'B' of split 'train' or 'test' of a TFDS data set such as cycle_gan/horse2zebra."""
    label = f'tfds:{name}/{split}{domain}'
    if name.split('/')[0].split(':')[0] == _PETS:
        examples = _pets(name, data_dir, download, head_margin, 'AB'.index(domain), split)
    else:
        examples = _load(name, data_dir, download, f'{split}{domain}')
    if not examples:
        raise MissingSplit(f'{label} holds no images')
    return TfdsSource(label, examples, channels, background, draft_side)


def cut(pixels: np.ndarray, box: tuple[float, float, float, float] | None) -> np.ndarray:
    """The part of [H, W, C] inside a box with edges in [0, 1]; all of it without one."""
    if box is None:
        return pixels
    height, width = pixels.shape[:2]
    ymin, xmin, ymax, xmax = box
    top, left, bottom, right = round(ymin * height), round(xmin * width), round(ymax * height), round(xmax * width)
    if bottom - top < 2 or right - left < 2:
        raise DecodeError(f'the box {box} has no area in an image of {width}x{height} pixels')
    return pixels[top:bottom, left:right]


def widened(box: tuple[float, float, float, float], margin: float) -> tuple[float, float, float, float]:
    """The box with `margin` times its sides added on each side, inside the image."""
    ymin, xmin, ymax, xmax = box
    dy, dx = margin * (ymax - ymin), margin * (xmax - xmin)
    return max(0.0, ymin - dy), max(0.0, xmin - dx), min(1.0, ymax + dy), min(1.0, xmax + dx)


def _pets(name: str, data_dir: str | None, download: bool, margin: float, species: int, split: str) -> list[Example]:
    """Cats (species 0) or dogs (1) whose heads are marked; the cut is the head box with its margin."""
    found, without = [], 0
    for record in _records(name, data_dir, download, 'train', ('species', 'head_bbox', 'file_name')):
        if record['species'] != species:
            continue
        ymin, xmin, ymax, xmax = record['head_bbox']
        if ymax <= ymin or xmax <= xmin:
            without += 1
            continue
        found.append(Example(record['file_name'], record['image'], widened((ymin, xmin, ymax, xmax), margin)))
    if without:
        _logger.warning(
            '%s: left out %d of %d %s without a head box',
            name,
            without,
            without + len(found),
            ('cats', 'dogs')[species],
        )
    found.sort(key=lambda example: example.key)  # names begin with the breed, so that test images come from each
    return [example for i, example in enumerate(found) if (i % _TEST_SHARE == _TEST_SHARE - 1) == (split == 'test')]


def _load(name: str, data_dir: str | None, download: bool, split: str) -> list[Example]:
    records = _records(name, data_dir, download, split, ())
    return [Example(f'{split}[{i}]', record['image']) for i, record in enumerate(records)]


@functools.lru_cache(maxsize=1)  # both domains and both splits of the pets come from one split
def _records(name: str, data_dir: str | None, download: bool, split: str, fields: tuple[str, ...]) -> list[dict]:
    """Reads one split: dictionaries with 'image' (encoded bytes) and the given fields as Python values."""
    import tensorflow_datasets as tfds

    builder = _builder(name, data_dir, download)
    if split not in builder.info.splits:
        raise MissingSplit(
            f'data.source=tfds:{name} has no split {split}, it has {", ".join(builder.info.splits)}: unpaired '
            f'data sets have trainA, trainB, testA and testB; {_PETS} is the one that is split by species'
        )
    wanted = {'image': tfds.features.Image, **dict.fromkeys(fields)}
    for field, kind in wanted.items():
        if field not in builder.info.features or (kind and not isinstance(builder.info.features[field], kind)):
            raise UserError(f'data.source=tfds:{name} has no feature {field!r} as it is needed here')
    still_encoded = {
        field: tfds.decode.SkipDecoding()
        for field, kind in builder.info.features.items()
        if isinstance(kind, tfds.features.Image)
    }
    if any(file_format.value == 'array_record' for file_format in builder.info.available_file_formats()):
        rows = builder.as_data_source(split=split, decoders=still_encoded)
    else:
        partial = tfds.decode.PartialDecoding(dict.fromkeys(wanted, True), decoders={'image': tfds.decode.SkipDecoding()})
        read_config = tfds.ReadConfig(
            interleave_cycle_length=1
        )  # one shard after the other: the order is the same each time
        rows = tfds.as_numpy(builder.as_dataset(split=split, decoders=partial, shuffle_files=False, read_config=read_config))
    records = []
    for row in rows:
        record = {'image': bytes(row['image'])}
        for field in fields:
            value = row[field]
            record[field] = value.decode() if isinstance(value, bytes) else np.asarray(value).tolist()
        records.append(record)
    return records


def named_builder(name: str, data_dir: str | None) -> Any:
    """The TFDS builder of a data set, downloaded or not; raises UserError for names that TFDS does not know."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # of many types: an unknown name, a wrong version, a damaged folder
        where = data_dir or '~/tensorflow_datasets'
        raise UserError(f'data.source=tfds:{name}: {named_line(error)} (looked in {where})') from error


def _builder(name: str, data_dir: str | None, download: bool):
    where = data_dir or '~/tensorflow_datasets'
    ways = (
        'prepare it on a machine with network access and point data.data_dir there, or give the images as '
        '--config.data.source=folder:PATH with trainA, trainB, testA and testB in PATH'
    )
    builder = named_builder(name, data_dir)
    if builder.is_prepared():
        return builder
    if not download:
        raise UserError(f'data.source=tfds:{name} is not in {where} and data.download=False: {ways}')
    _logger.info('tfds:%s is not in %s: downloading it', name, where)
    try:
        _check_network(builder.info.homepage)
        builder.download_and_prepare()
    except Exception as error:  # the network's, the disk's, the archive's
        raise UserError(
            f'data.source=tfds:{name} is not in {where} and could not be downloaded ({named_line(error)}): {ways}'
        ) from error
    return builder


def _check_network(homepage: str) -> None:
    """Raises OSError where names cannot be looked up: the download would try for five minutes before it said so."""
    host = urllib.parse.urlparse(homepage).hostname
    if host and not urllib.request.getproxies():  # a proxy looks names up itself
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise OSError(f'no network: {host} is not found') from error
