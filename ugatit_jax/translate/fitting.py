"""Fits images of any size to what a generator takes, and its output back to the size and aspect ratio of the image.

`fit` makes a FittedImage: pixels for the generator, and what `restore` and `restore_heatmap` need for the way back, which is
where the image lies in them and how large the result has to be.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from ugatit_jax.data.preprocess import centre_square, fit_square, padded_box, resize
from ugatit_jax.models.generator import min_side


class FittedImage(NamedTuple):
    """An image as a generator takes it, and what the way back needs."""

    pixels: np.ndarray  # [h, w, C], sides multiples of the generator's `side_multiple`
    content: tuple[int, int, int, int]  # (top, left, height, width) of the image in it: the rest is padding
    size: tuple[int, int]  # (height, width) of the result
    original: np.ndarray  # [*size, C]: the given image, or the part of it that the result shows


def fit(pixels: np.ndarray, size: int | None, mode: str, background: tuple[int, int, int], multiple: int = 4) -> FittedImage:
    """[H, W, C] in 0..255, uint8 or float32, to size x size by `mode` (see data.fit), or at its own size where that is None.

    At its own size an image is padded by reflection, below and on the right, to multiples of `multiple`. Only
    'short_side_crop' loses a part: the result is the square in the middle.
    """
    height, width = pixels.shape[:2]
    if size is None:
        sides = [max(min_side(multiple), -(-side // multiple) * multiple) for side in (height, width)]
        padded = np.pad(pixels, ((0, sides[0] - height), (0, sides[1] - width), (0, 0)), 'reflect')
        return FittedImage(padded, (0, 0, height, width), (height, width), pixels)
    square = fit_square(pixels, size, mode, background)
    if mode == 'short_side_crop':
        top, left, side = centre_square(height, width)
        original = pixels[int(top) : int(top) + side, int(left) : int(left) + side]
        return FittedImage(square, (0, 0, size, size), (side, side), original)
    content = padded_box(height, width, size) if mode == 'pad' else (0, 0, size, size)
    return FittedImage(square, content, (height, width), pixels)


def restore(out: np.ndarray, fitted: FittedImage) -> np.ndarray:
    """A generator's [h, w, C] for `fitted`, uint8 or float32 of any range -> [*fitted.size, C] of the same type."""
    top, left, height, width = fitted.content
    content = out[top : top + height, left : left + width]
    if content.shape[:2] == fitted.size:
        return content
    resized = resize(content, fitted.size[1], fitted.size[0], resample=Image.Resampling.BICUBIC)
    return np.clip(resized, content.min(), content.max())  # the bicubic filter overshoots


def restore_heatmap(heatmap: np.ndarray, fitted: FittedImage) -> np.ndarray:
    """A heatmap, [h/4, w/4] or smaller, of `fitted` -> float32 [*fitted.size], interpolated."""
    height, width = fitted.pixels.shape[:2]
    large = resize(heatmap.astype(np.float32)[..., None], width, height)
    top, left, content_height, content_width = fitted.content
    content = large[top : top + content_height, left : left + content_width]
    return resize(content, fitted.size[1], fitted.size[0])[..., 0]
