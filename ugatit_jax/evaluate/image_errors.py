"""How far an image is from another: L1 and PSNR, a number for each image."""

import numpy as np

LEAST_ERROR = 1e-10  # mean square under which PSNR stops growing, at 106 dB: equal images have a finite one


def l1(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """mean|a - b| of images [n, h, w, C] in [-1, 1], in the losses' scale: [n]."""
    return np.abs(a - b).mean(axis=(1, 2, 3), dtype=np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """10 log10(2^2 / mean (a - b)^2) in dB of images [n, h, w, C] in [-1, 1], whose range is 2: [n]."""
    error = np.square(a - b).mean(axis=(1, 2, 3), dtype=np.float64)
    return 10 * np.log10(4 / np.maximum(error, LEAST_ERROR))
