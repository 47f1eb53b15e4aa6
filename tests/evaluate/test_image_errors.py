"""L1, PSNR and SSIM of each image."""

import os
import subprocess
import sys

import numpy as np

from tests.helpers.array_source import noise
from tests.helpers.paths import ROOT
from ugatit_jax.evaluate.image_errors import l1, outside_l1, psnr, ssim


def test_l1_and_psnr_of_each_image():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = np.stack([a[0] + 0.2, a[1]])
    np.testing.assert_allclose(l1(a, b), [0.2, 0], atol=1e-7)
    np.testing.assert_allclose(psnr(a, b), [20, 10 * np.log10(4e10)], atol=1e-4)  # 2 / 0.2 is 20 dB; equal is finite


def ssim_of_the_paper(a, b):
    """Wang et al. 2004, equation 13, with a Gaussian window of 11 x 11 pixels and a deviation of 1.5; a, b: [h, w, 3]."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2

    def local_mean(x):
        return (np.lib.stride_tricks.sliding_window_view(x, (11, 11), (0, 1)) * window).sum((-1, -2))

    a, b = a.astype(np.float64), b.astype(np.float64)
    mean_a, mean_b = local_mean(a), local_mean(b)
    var_a, var_b = local_mean(a * a) - mean_a**2, local_mean(b * b) - mean_b**2
    covariance = local_mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * (2 * covariance + c2) / (var_a + var_b + c2)).mean()


def test_ssim_of_each_image():
    """Of equal images, of dark ones, whose constants count, of related ones, and of noise."""
    a = noise(4, seed=1)
    a[1] //= 50
    b = np.stack([a[0], a[1] + 3, a[2] // 2 + noise(1, seed=3)[0] // 4, noise(1, seed=2)[0]])
    expected = [ssim_of_the_paper(*pair) for pair in zip(a, b, strict=True)]
    assert expected[0] == 1 and expected[3] < 0.3 < expected[1] < 0.9 and 0.4 < expected[2] < 0.9
    np.testing.assert_allclose(ssim(a, b), expected, atol=1e-3)  # variances in float32


def test_changes_inside_of_a_mask_do_not_count_outside():
    a, masks = np.zeros((2, 4, 4, 3), np.float32), np.zeros((2, 4, 4), bool)
    masks[:, :2] = True
    b = a + masks[..., None]
    b[1, 3, 0] = 0.8  # one of eight pixels outside
    np.testing.assert_allclose(outside_l1(a, b, masks), [0, 0.1], atol=1e-7)


def test_tensorflow_is_silent():
    """What it logs when it is imported is of no use to who evaluates images."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith('TF_')}
    program = 'from ugatit_jax.evaluate.image_errors import tensorflow; tensorflow()'
    result = subprocess.run([sys.executable, '-c', program], cwd=ROOT, env=environment, text=True, capture_output=True)
    assert (result.returncode, result.stderr) == (0, '')
