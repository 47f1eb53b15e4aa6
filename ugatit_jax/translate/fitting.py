"""Images of any size to what a generator takes, and its images back to the size and aspect of the given ones."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ugatit_jax.data.preprocess import centre_square, fit_square, padded_box, resize

MULTIPLE = 4  # the generator halves twice
SMALLEST = 16  # below, its reflect padding would not fit


class Fitted(NamedTuple):
    """An image as a generator takes it, and the way back."""

    pixels: np.ndarray  # [h, w, C], sides multiples of 4
    kept: tuple[int, int, int, int]  # (top, left, height, width) of it that goes back: the rest is padding
    size: tuple[int, int]  # (height, width) that this goes back to
    shown: np.ndarray  # [*size, C]: the given image, or the part of it that goes through the generator


def fit(pixels: np.ndarray, size: int | None, mode: str, background: tuple[int, int, int]) -> Fitted:
    """[H, W, C] in 0..255, uint8 or float32, into size x size by `mode` (see data.fit), or as it is where size is None.

    As it is means padded by reflection below and on the right to multiples of 4. Only 'short_side_crop' loses a part:
    what comes back is the square in the middle.
    """
    height, width = pixels.shape[:2]
    if size is None:
        sides = [max(SMALLEST, -(-side // MULTIPLE) * MULTIPLE) for side in (height, width)]
        padded = np.pad(pixels, ((0, sides[0] - height), (0, sides[1] - width), (0, 0)), 'reflect')
        return Fitted(padded, (0, 0, height, width), (height, width), pixels)
    square = fit_square(pixels, size, mode, background)
    if mode == 'short_side_crop':
        top, left, side = centre_square(height, width)
        shown = pixels[int(top) : int(top) + side, int(left) : int(left) + side]
        return Fitted(square, (0, 0, size, size), (side, side), shown)
    kept = padded_box(height, width, size) if mode == 'pad' else (0, 0, size, size)
    return Fitted(square, kept, (height, width), pixels)


def restore(out: np.ndarray, fitted: Fitted) -> np.ndarray:
    """A generator's [h, w, C] for `fitted` (uint8, or float32 of any range) -> [*fitted.size, C] of the same type."""
    top, left, height, width = fitted.kept
    kept = out[top : top + height, left : left + width]
    if kept.shape[:2] == fitted.size:
        return kept
    resized = resize(kept, fitted.size[1], fitted.size[0], resample=Image.Resampling.BICUBIC)
    return np.clip(resized, kept.min(), kept.max())  # the bicubic filter overshoots


def restore_heatmap(heatmap: np.ndarray, fitted: Fitted) -> np.ndarray:
    """A heatmap [h/4, w/4] of `fitted` -> float32 [*fitted.size], interpolated."""
    height, width = fitted.pixels.shape[:2]
    large = resize(heatmap.astype(np.float32)[..., None], width, height)
    top, left, kept_height, kept_width = fitted.kept
    return resize(large[top : top + kept_height, left : left + kept_width], fitted.size[1], fitted.size[0])[..., 0]
