"""Value ranges of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ugatit_jax.common.images import denormalize, normalize, to_rgb


def test_normalize_and_denormalize_are_inverse_and_alike_in_numpy_and_compiled():
    pixels = np.arange(256, dtype=np.uint8)
    images = normalize(pixels)
    assert images.dtype == np.float32 and images[0] == -1 and images[255] == 1 and images[127] == pytest.approx(-1 / 255)
    np.testing.assert_array_equal(denormalize(images), pixels)
    np.testing.assert_array_equal(jax.jit(normalize)(jnp.asarray(pixels)), images)
    np.testing.assert_array_equal(jax.jit(denormalize)(jnp.asarray(images)), pixels)
    assert denormalize(np.array([-1.5, -0.001, 1.5])).tolist() == [0, 127, 255]


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 6])
def test_to_rgb(channels):
    images = np.broadcast_to(np.linspace(-1, 1, channels) if channels > 1 else [1.0], (2, 4, 4, channels))
    expected = images[..., [0, 0, 0]] if channels < 3 else images[..., :3]
    np.testing.assert_allclose(to_rgb(images), (expected + 1) * 127.5, atol=0.51)
