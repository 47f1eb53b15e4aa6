"""The page of --compare: inputs beside outputs in one self-contained HTML file."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from etils import epath

from ugatit_jax.common.errors import UserError, first_line, printable
from ugatit_jax.common.files import atomic_write_text
from ugatit_jax.common.images import to_rgb
from ugatit_jax.data.preprocess import resize
from ugatit_jax.models.names import source_of, target_of
from ugatit_jax.report.html import data_uri, render

MAX_SIDE = 384  # pixels of an image in the page: half a window's width, sharp on most screens
JPEG_QUALITY = 88  # of images in the page, whose one file holds them all


class PageRow(NamedTuple):
    """One row of the page."""

    name: str
    input: str  # a data URI
    output: str  # a data URI
    heatmap: str = ''  # a data URI; '' for a generator without CAM, and for results kept without theirs


def make_row(name: str, original: np.ndarray, translated: np.ndarray, attention: np.ndarray | None = None) -> PageRow:
    """The row of one image, uint8 [h, w, C] before and after, and with the heatmap over it."""
    heatmap = '' if attention is None else thumbnail(attention)
    return PageRow(printable(name), thumbnail(original), thumbnail(translated), heatmap)


def thumbnail(pixels: np.ndarray) -> str:
    """A data URI of uint8 [h, w, C], reduced to at most MAX_SIDE."""
    height, width = pixels.shape[:2]
    scale = min(1, MAX_SIDE / max(height, width))
    small = resize(to_rgb(pixels), max(1, round(width * scale)), max(1, round(height * scale)))
    return data_uri(small, JPEG_QUALITY)


def write_page(path: str, rows: Sequence[PageRow], model: str, direction: str, software: str | None) -> None:
    """Writes the page; raises UserError. software: what made the images, None for a page without metadata."""
    html = render(
        'compare.html', rows=rows, model=model, source=source_of(direction), target=target_of(direction), software=software
    )
    try:
        atomic_write_text(epath.Path(path), html)
    except OSError as error:
        raise UserError(f'{path} cannot be written: {first_line(error)}') from error
