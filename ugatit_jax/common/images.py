"""Value ranges of images: uint8 in files and on the host, float32 in [-1, 1] in the networks."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:  # commands that only look at images start without it
    import jax

Array = TypeVar('Array', np.ndarray, 'jax.Array')


def normalize(pixels: Array) -> Array:
    """Values 0..255 of any type, [...] -> float32 in [-1, 1]; the same bits in NumPy, in JAX and inside jit."""
    # not x / 127.5 - 1: XLA turns that into a fused multiply-add, which gives 1.0000001 for 255
    return (pixels.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)


def denormalize(images: Array) -> Array:
    """Floats in [-1, 1], [...] -> uint8, rounded; values outside are clipped."""
    return ((images + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def to_rgb(images: np.ndarray) -> np.ndarray:
    """Images of any number of channels for people to look at: uint8 or floats in [-1, 1], [..., C] -> uint8 [..., 3].

    One or two channels are shown as grey (the first), four or more by their first three.
    """
    images = images[..., :3] if images.shape[-1] >= 3 else images[..., :1].repeat(3, axis=-1)
    return images if images.dtype == np.uint8 else denormalize(images)
