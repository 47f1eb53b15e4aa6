"""The data sets of a run: validated settings, both domains opened and scanned, images for evaluation."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize
from ugatit_jax.config.derived import parse_policy
from ugatit_jax.config.fields import validate_fields
from ugatit_jax.data import scan
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import FIT_MODES, fit_square
from ugatit_jax.data.sources.open_source import Selected, Source, open_source

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Datasets:
    """The readable images of a run; a missing test split is None."""

    train_A: Source
    train_B: Source
    test_A: Source | None
    test_B: Source | None


def open_datasets(config: ConfigDict) -> Datasets:
    """Opens both domains, scans them for unreadable files, and warns of those and of common mistakes.

    Raises UserError where a training split is missing or more than `data.max_bad_fraction` of a split is unreadable.
    """
    data = config.data
    validate_data_fields(config)
    opened, reports = {}, {}
    for split in ('train', 'test'):
        for domain in 'AB':
            source = open_source(config, domain, split, missing_ok=split == 'test')
            if source is None:
                logger.warning('%s has no test images of domain %s: nothing can be evaluated there', data.source, domain)
            elif data.source.startswith(('folder:', 'tfds:')):  # the others were checked when they were made
                report = scan.scan(source)
                scan.validate_bad_fraction(report, data.max_bad_fraction)
                reports[split + domain] = report
                source = Selected(source, report.good) if report.bad else source
            opened[f'{split}_{domain}'] = source
    for warning in scan.common_mistakes(reports, data.image_size):
        logger.warning('%s', warning)
    return Datasets(**opened)


def validate_data_fields(config: ConfigDict) -> None:
    """Raises UserError for values of `config.data` and `config.augment` that are out of range or unknown."""
    data = config.data
    validate_fields(config, 'data', 'augment')
    if data.fit not in FIT_MODES:
        raise UserError(f'data.fit={data.fit!r} is not one of {", ".join(FIT_MODES)}')
    parse_policy(config.augment.diffaugment)


def evenly_spaced_indices(count: int, wanted: int) -> list[int]:
    """`wanted` of the indices 0 to count - 1, evenly spaced from 0; all of them where there are fewer."""
    wanted = min(count, wanted)
    return [i * count // wanted for i in range(wanted)]


def eval_images(source: Source, indices: Sequence[int], config: ConfigDict) -> np.ndarray:
    """Images as the networks see them in evaluation, without augmentation: float32 [k, size, size, C] in [-1, 1]."""
    data = config.data
    images = [load_image(source, i, data.image_size, data.fit, tuple(data.background)) for i in indices]
    return normalize(np.stack(images))


def load_image(source: Source, i: int, size: int, fit: str, background: tuple[int, int, int]) -> np.ndarray:
    """Image i fitted to uint8 [size, size, C]; raises UserError where it has become unreadable since the scan."""
    try:
        return fit_square(source.read(i), size, fit, background)
    except DecodeError as error:
        raise UserError(
            f'{source.name}: {source.keys[i]} cannot be read any more: {error}; put the file back, or start '
            'again, which scans what is there now and continues from the last checkpoint'
        ) from error
