"""Images of any size as InceptionV3, under each protocol, and EfficientNet-Lite0 take them; on the host, one at a time."""

import numpy as np
from PIL import Image

from ugatit_jax.evaluate import effnet
from ugatit_jax.evaluate.inception import SIDE


def tensorflow_bilinear(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """[H, W, C] -> float32 [side, side, C]: TensorFlow 1's bilinear, no half-pixel centres, no antialiasing."""
    x = pixels.astype(np.float32)
    for axis in (1, 0):  # columns first, for torch-fidelity's rounding
        n = x.shape[axis]
        position = np.arange(side, dtype=np.float32) * np.float32(n / side)
        low = position.astype(np.int64)
        weight = (position - low.astype(np.float32)).reshape((-1, 1) if axis else (-1, 1, 1))
        below, above = x.take(low, axis), x.take(np.minimum(low + 1, n - 1), axis)
        x = below + (above - below) * weight
    return x


def pillow_bilinear(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [side, side, 3], whole numbers 0..255: Pillow's antialiased bilinear on uint8."""
    image = Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def clean_bicubic(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [side, side, 3] in 0..255: Pillow's antialiased bicubic on floats, clipped, not rounded."""
    channels = [
        Image.fromarray(pixels[..., i].astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        for i in range(pixels.shape[-1])
    ]
    return np.clip(np.stack([np.asarray(channel) for channel in channels], axis=-1), 0, 255)


def inception_input(pixels: np.ndarray, protocol: str) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [299, 299, 3] in about [-1, 1], resized and scaled as the protocol does."""
    if protocol == 'ugatit':
        return pillow_bilinear(pixels) / np.float32(127.5) - np.float32(1)  # as that tool scales them, not images.normalize
    resized = {'fidelity': tensorflow_bilinear, 'clean': clean_bicubic}[protocol](pixels)
    return (resized - np.float32(128)) / np.float32(128)


def effnet_input(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> float32 [224, 224, 3] in about [-1, 1], scaled as the official release does."""
    return (pillow_bilinear(pixels, effnet.SIDE) - np.float32(127)) / np.float32(128)
