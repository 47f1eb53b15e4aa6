"""L1 and PSNR of each image."""

import numpy as np

from ugatit_jax.evaluate.image_errors import l1, psnr


def test_l1_and_psnr_of_each_image():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = np.stack([a[0] + 0.2, a[1]])
    np.testing.assert_allclose(l1(a, b), [0.2, 0], atol=1e-7)
    np.testing.assert_allclose(psnr(a, b), [20, 10 * np.log10(4e10)], atol=1e-4)  # 2 / 0.2 is 20 dB; equal is finite
