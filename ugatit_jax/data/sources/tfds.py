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

from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.data.decode import DecodeError, Probe, decode, probe
from ugatit_jax.data.sources.splits import MissingSplit

logger = logging.getLogger(__name__)

PETS = 'oxford_iiit_pet'
PET_TEST_EVERY = 12  # pets with a head box: some test images of each breed; the set's own test split has no boxes

Box = tuple[float, float, float, float]  # (ymin, xmin, ymax, xmax) in [0, 1]


@dataclasses.dataclass(frozen=True)
class Example:
    """An encoded image, and the box that it is cut to, if any."""

    key: str
    data: bytes
    box: Box | None = None


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
        draft_side = self._draft_side if example.box is None else 0  # the cut of a reduced image would be too small
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
    """Domain 'A' or 'B' of split 'train' or 'test' of a TFDS data set such as cycle_gan/horse2zebra."""
    label = f'tfds:{name}/{split}{domain}'
    if name.split('/')[0].split(':')[0] == PETS:
        examples = pet_examples(name, data_dir, download, head_margin, 'AB'.index(domain), split)
    else:
        records = read_records(name, data_dir, download, f'{split}{domain}', ())
        examples = [Example(f'{split}{domain}[{i}]', record['image']) for i, record in enumerate(records)]
    if not examples:
        raise MissingSplit(f'{label} holds no images')
    return TfdsSource(label, examples, channels, background, draft_side)


def cut(pixels: np.ndarray, box: Box | None) -> np.ndarray:
    """The part of [H, W, C] inside a box, or all of it without one; DecodeError for a box below 2 pixels."""
    if box is None:
        return pixels
    height, width = pixels.shape[:2]
    ymin, xmin, ymax, xmax = box
    top, left, bottom, right = round(ymin * height), round(xmin * width), round(ymax * height), round(xmax * width)
    if bottom - top < 2 or right - left < 2:
        raise DecodeError(f'the box {box} has no area in an image of {width}x{height} pixels')
    return pixels[top:bottom, left:right]


def widened(box: Box, margin: float) -> Box:
    """The box with `margin` times its sides added on each side, clipped to the image."""
    ymin, xmin, ymax, xmax = box
    dy, dx = margin * (ymax - ymin), margin * (xmax - xmin)
    return max(0.0, ymin - dy), max(0.0, xmin - dx), min(1.0, ymax + dy), min(1.0, xmax + dx)


def pet_examples(name: str, data_dir: str | None, download: bool, margin: float, species: int, split: str) -> list[Example]:
    """Cats (species 0) or dogs (1) with a head box, cut to it and its margin."""
    found, without = [], 0
    for record in read_records(name, data_dir, download, 'train', ('species', 'head_bbox', 'file_name')):
        if record['species'] != species:
            continue
        ymin, xmin, ymax, xmax = record['head_bbox']
        if ymax <= ymin or xmax <= xmin:
            without += 1
            continue
        found.append(Example(record['file_name'], record['image'], widened((ymin, xmin, ymax, xmax), margin)))
    if without:
        animals = ('cats', 'dogs')[species]
        logger.warning('%s: left out %d of %d %s without a head box', name, without, without + len(found), animals)
    found.sort(key=lambda example: example.key)  # names begin with the breed, so every breed has test images
    last = PET_TEST_EVERY - 1
    return [example for i, example in enumerate(found) if (i % PET_TEST_EVERY == last) == (split == 'test')]


@functools.lru_cache(maxsize=1)  # both domains and both splits of the pets come from one split
def read_records(name: str, data_dir: str | None, download: bool, split: str, fields: tuple[str, ...]) -> list[dict]:
    """All records of a split: {'image': encoded bytes, ...} with the given fields as Python values.

    Raises UserError where there is no such data set or feature, and MissingSplit where there is no such split.
    """
    import tensorflow_datasets as tfds

    builder = prepared_builder(name, data_dir, download)
    if split not in builder.info.splits:
        raise MissingSplit(
            f'data.source=tfds:{name} has no split {split}, it has {", ".join(builder.info.splits)}: unpaired '
            f'data sets have trainA, trainB, testA and testB; {PETS} is the one that is split by species'
        )
    wanted = {'image': tfds.features.Image, **dict.fromkeys(fields)}
    for field, kind in wanted.items():
        if field not in builder.info.features or (kind and not isinstance(builder.info.features[field], kind)):
            raise UserError(f'data.source=tfds:{name} has no feature {field!r} of the kind that is needed')
    still_encoded = {
        field: tfds.decode.SkipDecoding()
        for field, kind in builder.info.features.items()
        if isinstance(kind, tfds.features.Image)
    }
    if any(file_format.value == 'array_record' for file_format in builder.info.available_file_formats()):
        rows = builder.as_data_source(split=split, decoders=still_encoded)
    else:
        partial = tfds.decode.PartialDecoding(dict.fromkeys(wanted, True), decoders={'image': tfds.decode.SkipDecoding()})
        read_config = tfds.ReadConfig(interleave_cycle_length=1)  # shard after shard: the same order each time
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


def prepared_builder(name: str, data_dir: str | None, download: bool) -> Any:
    """The TFDS builder of a data set that is in `data_dir`, or, if `download`, is fetched into it; UserError otherwise."""
    where = data_dir or '~/tensorflow_datasets'
    hint = (
        'prepare it on a machine with network access and point data.data_dir there, or give the images as '
        '--config.data.source=folder:PATH with trainA, trainB, testA and testB in PATH'
    )
    builder = named_builder(name, data_dir)
    if builder.is_prepared():
        return builder
    if not download:
        raise UserError(f'data.source=tfds:{name} is not in {where} and data.download=False: {hint}')
    logger.info('tfds:%s is not in %s: downloading it', name, where)
    try:
        require_network(builder.info.homepage)
        builder.download_and_prepare()
    except Exception as error:  # the network's, the disk's, the archive's
        raise UserError(
            f'data.source=tfds:{name} is not in {where} and could not be downloaded ({named_line(error)}): {hint}'
        ) from error
    return builder


def require_network(homepage: str) -> None:
    """Raises OSError where host names cannot be resolved: the download would retry for five minutes first."""
    host = urllib.parse.urlparse(homepage).hostname
    if host and not urllib.request.getproxies():  # a proxy resolves them itself
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise OSError(f'no network: {host} is not found') from error
