"""Pixels to channels and back."""

import numpy as np

from ugatit_jax.models.ops.pixel_shuffle import pixel_shuffle, pixel_unshuffle


def test_a_position_has_its_pixels_row_by_row():
    x = np.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    y = pixel_unshuffle(x, 2)
    assert y.shape == (2, 2, 3, 12)
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        first = 3 * (2 * i + j)
        np.testing.assert_array_equal(y[..., first : first + 3], x[:, i::2, j::2])
    np.testing.assert_array_equal(pixel_shuffle(y, 2), x)
    assert pixel_unshuffle(x, 1) is x and pixel_shuffle(x, 1) is x
