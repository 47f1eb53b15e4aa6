"""From `data.source` to images: four kinds of sources behind one small interface, scanned and ready to be read."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.data import preprocess, scan
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources import folder
from ugatit_jax.data.sources.splits import MissingSplit
from ugatit_jax.data.sources.synthetic import Synthetic
from ugatit_jax.errors import UserError, named_line
from ugatit_jax.images import normalize

_logger = logging.getLogger(__name__)

KINDS = 'folder:PATH, tfds:NAME[/CONFIG], prepared:PATH or synthetic:faces'


class Source(Protocol):
    """The images of one domain and split, with random access."""

    name: str  # for messages: kind, place and split
    keys: Sequence[str]  # relative names, in order

    def __len__(self) -> int: ...

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed: the key of a cache on disk."""


class Selected:
    """Some images of a source, in the given order: what a scan leaves."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self.name = source.name
        self.source, self.indices = source, list(indices)
        self.keys = [source.keys[i] for i in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, i: int) -> np.ndarray:
        """Image i of the selection as uint8 [H, W, channels], or DecodeError."""
        return self.source.read(self.indices[i])

    def fingerprint(self) -> str:
        """Changes with the source and with the selection."""
        return hashlib.sha256(repr((self.source.fingerprint(), self.indices)).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Datasets:
    """What a run reads: unreadable files are gone; a missing test split is None."""

    train_A: Source
    train_B: Source
    test_A: Source | None
    test_B: Source | None


def open_source(config: ConfigDict, domain: str, split: str, missing_ok: bool = False) -> Source | None:
    """Opens the images of a domain ('A', 'B') and split ('train', 'test') as they lie there, without the scan.

    Args:
      config: the whole configuration; `config.data` is read here and nowhere deeper.
      domain: as the model names it; `data.swap` exchanges the two on disk.
      split: 'train' images come at the load size where they are drawn, 'test' at image_size.
      missing_ok: return None for a split that is not there instead of raising UserError.
    """
    data = config.data
    kind, _, place = data.source.partition(':')
    channels = data[f'channels_{domain}']
    background = _background(data.background)
    side = load_size(config) if split == 'train' else data.image_size
    stored = domain if not data.swap else {'A': 'B', 'B': 'A'}[domain]
    if kind == 'synthetic':
        return Synthetic(stored, split, side, channels, place)
    if not place:
        raise UserError(f'data.source={data.source!r} is not one of {KINDS}')
    # Twice the side: the library's reduction of large JPEGs is coarse, the last factor of two is Pillow's resize.
    decoding = {'channels': channels, 'background': background, 'draft_side': 2 * side}
    try:
        if kind == 'folder':
            return folder.FolderSource(folder.check_folder(place, split + stored), **decoding)
        if kind == 'tfds':
            from ugatit_jax.data import tfds_source  # imports TensorFlow Datasets

            return tfds_source.open_tfds(
                place,
                stored,
                split,
                data_dir=data.data_dir,
                download=data.download,
                head_margin=data.head_margin,
                **decoding,
            )
        if kind == 'prepared':
            from ugatit_jax.data import prepared  # imports TensorFlow Datasets

            return prepared.PreparedSource(place, split + stored, **decoding)
    except MissingSplit:
        if missing_ok:
            return None
        raise
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'data.source={data.source} needs {error.name}, which cannot be imported: pip install it') from error
    except Exception as error:
        if '://' not in place:
            raise
        # Far-away file systems raise what their libraries do: unknown schemes, no network, no rights.
        raise UserError(f'data.source={data.source} cannot be opened: {named_line(error)}') from error
    raise UserError(f'data.source={data.source!r} is not one of {KINDS}')


def open_datasets(config: ConfigDict) -> Datasets:
    """Opens both domains, scans them for unreadable files and reports those and what usually goes wrong."""
    data = config.data
    check_fields(config)
    opened, reports = {}, {}
    for split in ('train', 'test'):
        for domain in 'AB':
            source = open_source(config, domain, split, missing_ok=split == 'test')
            if source is None:
                _logger.warning('%s has no test images of domain %s: nothing can be evaluated there', data.source, domain)
            elif data.source.startswith(('folder:', 'tfds:')):  # the others were checked when they were made
                report = scan.scan(source)
                scan.validate_bad_fraction(report, data.max_bad_fraction)
                reports[split + domain] = report
                source = Selected(source, report.good) if report.bad else source
            opened[f'{split}_{domain}'] = source
    for warning in scan.usual_mistakes(reports, data.image_size):
        _logger.warning('%s', warning)
    return Datasets(**opened)


def load_size(config: ConfigDict) -> int:
    """Side of the training images before the random crop."""
    return preprocess.training_load_size(config.data.image_size, config.data.load_size, config.augment.crop)


def check_fields(config: ConfigDict) -> None:
    """Refuses values of `config.data` and `config.augment` that cannot be meant."""
    from ugatit_jax.data import (
        diffaugment,  # here: it imports JAX, which the commands that only look at files do not need
    )

    data = config.data
    load_size(config)
    _background(data.background)
    if data.fit not in preprocess.FIT_MODES:
        raise UserError(f'data.fit={data.fit!r} is not one of {", ".join(preprocess.FIT_MODES)}')
    limits = {
        'data.max_bad_fraction': 1.0,
        'data.head_margin': 10.0,
        'data.cache_mb': np.inf,
        'augment.flip': 1.0,
        'augment.brightness': 1.0,
        'augment.contrast': 1.0,
        'augment.saturation': 1.0,
        'augment.translate': 0.5,
    }
    for name, high in limits.items():
        block, field = name.split('.')
        if not 0.0 <= config[block][field] <= high:
            raise UserError(f'{name}={config[block][field]} is not within 0 to {high:g}')
    diffaugment.parse_policy(config.augment.diffaugment)


def spread_out(count: int, wanted: int) -> Sequence[int]:
    """`wanted` of `count` indices, evenly spread; all where there are fewer."""
    wanted = min(count, wanted)
    return [i * count // wanted for i in range(wanted)]


def eval_images(source: Source, indices: Sequence[int], config: ConfigDict) -> np.ndarray:
    """Images as the networks see them in evaluation, without augmentation: float32 [k, size, size, C] in [-1, 1]."""
    data = config.data
    images = [load_image(source, i, data.image_size, data.fit, _background(data.background)) for i in indices]
    return normalize(np.stack(images))


def load_image(source: Source, i: int, size: int, fit: str, background: tuple) -> np.ndarray:
    """Image i as uint8 [size, size, C]; one that has become unreadable since the scan raises UserError."""
    try:
        return preprocess.fit_square(source.read(i), size, fit, background)
    except DecodeError as error:
        raise UserError(
            f'{source.name}: {source.keys[i]} cannot be read any more: {error}; put the file back, or start '
            'again, which scans what is there now and continues from the last checkpoint'
        ) from error


def _background(value) -> tuple[int, int, int]:
    colour = tuple(value)
    if len(colour) != 3 or not all(isinstance(part, int) and 0 <= part <= 255 for part in colour):
        raise UserError(f'data.background={value} is not a colour: three integers from 0 to 255')
    return colour
