"""The images of a folder, as an evaluation reads them."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath

from ugatit_jax.common.errors import UserError, printable
from ugatit_jax.data import scan
from ugatit_jax.data.sources.folder import FolderSource
from ugatit_jax.data.sources.open_source import Selected, Source

logger = logging.getLogger(__name__)

EXTRA_SUFFIXES = ('.heatmap', '.strip')  # of what ugatit_jax.translate writes beside an output, NAME.heatmap.png


def open_folder(path: str) -> Source:
    """The readable images of a folder but for heatmaps and strips of ugatit_jax.translate; raises UserError below two."""
    if not epath.Path(path).is_dir():
        raise UserError(f'{path}: no such folder; name one with images in it')
    source: Any = FolderSource(path, channels=3, plain=True)  # as the tools that the protocols are of
    report = scan.scan(source)
    scan.validate_bad_fraction(report, scan.MAX_BAD_FRACTION, option=None)
    extras = heatmaps_and_strips(source.keys)
    if extras:
        logger.info('%s: left out %d heatmaps and strips beside the images', printable(path), len(extras))
    source = Selected(source, [i for i in report.good if source.keys[i] not in extras])
    if len(source) < 2:
        raise UserError(f'{path} has {len(source)} image; an evaluation needs 2 or more')
    return source


def heatmaps_and_strips(keys: list[str]) -> set[str]:
    """Those of `keys` that ugatit_jax.translate wrote beside outputs: NAME.heatmap.png where there is a NAME.png."""
    existing, found = set(keys), set()
    for key in keys:
        stem, extension = os.path.splitext(key)
        name, suffix = os.path.splitext(stem)
        if suffix in EXTRA_SUFFIXES and name + extension in existing:
            found.add(key)
    return found


def images_of(source: Source) -> Iterator[np.ndarray]:
    """All images of a source, uint8 [h, w, 3]."""
    return (source.read(i) for i in range(len(source)))
