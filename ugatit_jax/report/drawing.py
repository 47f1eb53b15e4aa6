"""Images for people to look at: labelled grids, and heatmaps blended over images."""

import numpy as np
from PIL import Image, ImageDraw

from ugatit_jax.common.images import to_rgb

MARGIN = 4  # pixels between images
HEADER = 16  # pixels above the images: one line of Pillow's default font


def grid(columns: dict[str, np.ndarray]) -> Image.Image:
    """A grid of images, a column for each name: uint8 [n, h, w, 3] each."""
    n, h, w, _ = next(iter(columns.values())).shape
    sheet = Image.new('RGB', (len(columns) * (w + MARGIN) + MARGIN, n * (h + MARGIN) + HEADER + MARGIN), 'white')
    for i, (name, images) in enumerate(columns.items()):
        x = MARGIN + i * (w + MARGIN)
        draw_name(sheet, name, (x, 2), w + MARGIN)
        for j, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (x, HEADER + j * (h + MARGIN)))
    return sheet


def strip(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Images of one size one below the other, the name of each above it: uint8 [h, w, 3] each -> uint8 [H, w, 3]."""
    h, w, _ = next(iter(parts.values())).shape
    sheet = Image.new('RGB', (w, len(parts) * (h + HEADER)), 'white')
    for i, (name, image) in enumerate(parts.items()):
        top = i * (h + HEADER)
        draw_name(sheet, name, (MARGIN if w > 4 * HEADER else 0, top + 2), w)
        sheet.paste(Image.fromarray(image), (0, top + HEADER))
    return np.asarray(sheet)


def draw_name(sheet: Image.Image, name: str, place: tuple[int, int], width: int) -> None:
    """Draws a name at a place, truncated to `width` pixels."""
    draw_text = ImageDraw.Draw(sheet)
    while draw_text.textlength(name) > width:
        name = name[:-1]
    draw_text.text(place, name, fill='black')


def overlay(images: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Heatmaps [n, h/4, w/4] in false colours, blended half and half with images [n, h, w, C]: uint8 [n, h, w, 3].

    images: uint8, or floats in [-1, 1].
    """
    images = to_rgb(images)
    colours = [
        np.asarray(Image.fromarray(jet(heatmap)).resize(image.shape[1::-1], Image.Resampling.BILINEAR))
        for image, heatmap in zip(images, heatmaps, strict=True)
    ]
    return ((images.astype(np.uint16) + np.stack(colours)) // 2).astype(np.uint8)


def jet(heatmap: np.ndarray) -> np.ndarray:
    """heatmap [h, w] in the colour map jet, blue at its minimum and red at its maximum: uint8 [h, w, 3].

    As in the PyTorch release, but a flat heatmap is all blue where the release divides by zero.
    """
    span = heatmap.max() - heatmap.min()
    x = (heatmap - heatmap.min()) / (span if span > 0 else 1)
    rgb = np.stack([1.5 - abs(4 * x - peak) for peak in (3, 2, 1)], axis=-1)
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
