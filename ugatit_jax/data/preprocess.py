"""Any image to a square of the load size, in uint8, with antialiasing; cropping and flipping come in augment.py."""

import numpy as np
from PIL import Image

from ugatit_jax.errors import UserError

FIT_MODES = ('stretch', 'short_side_crop', 'pad')


def training_load_size(image_size: int, load_size: int | None, crop: bool) -> int:
    """Side of the squares that random crops of `image_size` are taken from: 286 for 256, as in the releases."""
    if not crop:
        if load_size not in (None, image_size):
            raise UserError(
                f'data.load_size={load_size} needs augment.crop=True: without crops the load size is '
                f'data.image_size={image_size}'
            )
        return image_size
    if load_size is None:
        return round(image_size * 286 / 256)
    if load_size < image_size:
        raise UserError(
            f'data.load_size={load_size} is below data.image_size={image_size}: crops are taken from it, '
            f'so set at least {image_size}'
        )
    return load_size


def fit_square(
    pixels: np.ndarray, size: int, fit: str = 'stretch', background: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
    """Fits [H, W, C] into [size, size, C]: stretched, cut to the centre, or padded with the background.

    uint8, or float32 of the same range 0..255.
    """
    height, width = pixels.shape[:2]
    if fit == 'stretch':
        return resize(pixels, size, size)
    if fit == 'short_side_crop':
        top, left, side = centre_square(height, width)
        return resize(pixels, size, size, box=(left, top, left + side, top + side))
    if fit == 'pad':
        top, left, new_height, new_width = padded_box(height, width, size)
        out = np.empty((size, size, pixels.shape[2]), pixels.dtype)
        out[:] = _background_pixel(background, pixels.shape[2])
        out[top : top + new_height, left : left + new_width] = resize(pixels, new_width, new_height)
        return out
    raise UserError(f'data.fit={fit!r} is not one of {", ".join(FIT_MODES)}')


def centre_square(height: int, width: int) -> tuple[float, float, int]:
    """(top, left, side) of the square that `short_side_crop` keeps of an image; halves of pixels where it must."""
    side = min(height, width)
    return (height - side) / 2, (width - side) / 2, side


def padded_box(height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of an image inside the square that `pad` makes of it."""
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
    """Pillow's filter on uint8 or float32 [H, W, C]: it widens with the reduction, so small images do not alias."""
    if pixels.shape[:2] == (height, width) and box in (None, (0, 0, width, height)):
        return pixels
    channels = pixels.shape[2]
    if channels in (3, 4) and pixels.dtype == np.uint8:  # Pillow weighs RGBA by its alpha
        return np.array(Image.fromarray(pixels).resize((width, height), resample, box))
    planes = [
        Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize((width, height), resample, box) for c in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def _background_pixel(background: tuple[int, int, int], channels: int) -> np.ndarray:
    if channels == 3:
        return np.array(background, np.uint8)
    if channels == 4:
        return np.array([*background, 0], np.uint8)  # nothing is there: transparent
    red, green, blue = background
    return np.array([round(0.299 * red + 0.587 * green + 0.114 * blue)] * channels, np.uint8)
