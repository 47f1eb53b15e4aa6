"""L1 and PSNR between pairs of images, a number for each pair."""

import numpy as np

MIN_MSE = 1e-10  # caps PSNR at 106 dB, so that it is finite for equal images


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """mean |a - b| of images [n, h, w, C] in [-1, 1], in the losses' scale: [n]."""
    return np.abs(a - b).mean(axis=(1, 2, 3), dtype=np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """10 log10(2^2 / mean (a - b)^2) in dB of images [n, h, w, C] in [-1, 1], whose range is 2: [n]."""
    mse = np.square(a - b).mean(axis=(1, 2, 3), dtype=np.float64)
    return 10 * np.log10(4 / np.maximum(mse, MIN_MSE))
