"""L1, PSNR and SSIM between pairs of images, a number for each pair."""

import functools
from typing import Any

import numpy as np

from ugatit_jax.common.command import hide_gpus_from_tensorflow

SSIM_WINDOW = 11  # pixels; Wang et al. 2004 and tf.image.ssim
MIN_MSE = 1e-10  # caps PSNR at 106 dB, so that it is finite for equal images


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """mean |a - b| of images [n, h, w, C] in [-1, 1], in the losses' scale: [n]."""
    return np.abs(a - b).mean(axis=(1, 2, 3), dtype=np.float64)


def outside_l1(a: np.ndarray, b: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """mean |a - b| of images [n, h, w, C] in [-1, 1] outside of masks bool [n, h, w], which leave some pixels: [n]."""
    outside = ~masks
    return (np.abs(a - b).mean(axis=-1, dtype=np.float64) * outside).sum(axis=(1, 2)) / outside.sum(axis=(1, 2))


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """10 log10(2^2 / mean (a - b)^2) in dB of images [n, h, w, C] in [-1, 1], whose range is 2: [n]."""
    mse = np.square(a - b).mean(axis=(1, 2, 3), dtype=np.float64)
    return 10 * np.log10(4 / np.maximum(mse, MIN_MSE))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM (Wang et al. 2004) of images uint8 [n, h, w, 3] by tf.image.ssim, mean of the channels: [n]; 1 for equal images.

    Needs TensorFlow, and sides of 11 pixels or more.
    """
    return np.asarray(tensorflow().image.ssim(a, b, max_val=255, filter_size=SSIM_WINDOW), np.float64)


@functools.cache
def tensorflow() -> Any:
    """TensorFlow, kept off the GPU; None where it is not installed."""
    hide_gpus_from_tensorflow()  # first: it says what TensorFlow reads when it is imported
    try:
        import tensorflow  # takes seconds: only where SSIM is computed
    except ImportError:
        return None
    return tensorflow
