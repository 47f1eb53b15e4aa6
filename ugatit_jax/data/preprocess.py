"""Fits images of any shape into squares, on the host and with antialiasing; augment.py crops and flips them."""

import numpy as np
from PIL import Image

from ugatit_jax.common.errors import UserError

FIT_MODES = ('stretch', 'short_side_crop', 'pad')


def fit_square(
    pixels: np.ndarray, size: int, fit: str = 'stretch', background: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
    """Fits [H, W, C], uint8 or float32 in 0..255, into [size, size, C]: stretched, cropped to its centre, or padded."""
    height, width = pixels.shape[:2]
    if fit == 'stretch':
        return resize(pixels, size, size)
    if fit == 'short_side_crop':
        top, left, side = centre_square(height, width)
        return resize(pixels, size, size, box=(left, top, left + side, top + side))
    if fit == 'pad':
        top, left, new_height, new_width = padded_box(height, width, size)
        out = np.empty((size, size, pixels.shape[2]), pixels.dtype)
        out[:] = background_pixel(background, pixels.shape[2])
        out[top : top + new_height, left : left + new_width] = resize(pixels, new_width, new_height)
        return out
    raise UserError(f'data.fit={fit!r} is not one of {", ".join(FIT_MODES)}')


def centre_square(height: int, width: int) -> tuple[float, float, int]:
    """(top, left, side) of the square that `short_side_crop` keeps of an image; top and left may be half pixels."""
    side = min(height, width)
    return (height - side) / 2, (width - side) / 2, side


def padded_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the image inside its padded square."""
    scale = size / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    return (size - new_height) // 2, (size - new_width) // 2, new_height, new_width


def resize(
    pixels: np.ndarray,
    width: int,
    height: int,
    box: tuple[float, float, float, float] | None = None,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> np.ndarray:
    """Resizes uint8 or float32 [H, W, C], or its (left, top, right, bottom) `box`, by Pillow's antialiased filters."""
    if pixels.shape[:2] == (height, width) and box in (None, (0, 0, width, height)):
        return pixels
    channels = pixels.shape[2]
    if channels in (3, 4) and pixels.dtype == np.uint8:  # Pillow weights the colours of RGBA by its alpha
        return np.array(Image.fromarray(pixels).resize((width, height), resample, box))
    planes = [
        Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize((width, height), resample, box) for c in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def background_pixel(background: tuple[int, int, int], channels: int) -> np.ndarray:
    """The background colour in an image's channels, uint8 [C]: transparent in RGBA, grey where they are no colours."""
    if channels == 3:
        return np.array(background, np.uint8)
    if channels == 4:
        return np.array([*background, 0], np.uint8)
    red, green, blue = background
    luma = round(0.299 * red + 0.587 * green + 0.114 * blue)  # of ITU-R BT.601, as Pillow's greys
    return np.array([luma] * channels, np.uint8)
