"""L1, PSNR and SSIM of each image."""

import numpy as np

from tests.helpers.array_source import noise
from ugatit_jax.evaluate.image_errors import l1, psnr, ssim


def test_l1_and_psnr_of_each_image():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = np.stack([a[0] + 0.2, a[1]])
    np.testing.assert_allclose(l1(a, b), [0.2, 0], atol=1e-7)
    np.testing.assert_allclose(psnr(a, b), [20, 10 * np.log10(4e10)], atol=1e-4)  # 2 / 0.2 is 20 dB; equal is finite


def test_ssim_of_each_image():
    """Of equal images, of constant ones by the formula, and of noise, which shares nothing with an image."""
    a = noise(3, seed=1)
    b = np.stack([a[0], np.full_like(a[1], 50), noise(1, seed=2)[0]])
    a[1] = 200
    c1 = (0.01 * 255) ** 2
    found = ssim(a, b)
    np.testing.assert_allclose(found[:2], [1, (2 * 200 * 50 + c1) / (200**2 + 50**2 + c1)], atol=5e-4)  # float32 variances
    assert found.shape == (3,) and found[2] < 0.3
