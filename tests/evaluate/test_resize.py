"""The resizing of each protocol."""

import functools

import numpy as np

from ugatit_jax.evaluate import resize
from ugatit_jax.evaluate.resize import inception_input


def test_protocols_resize_and_scale_differently():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    ours = {protocol: inception_input(pixels, protocol) for protocol in ('fidelity', 'ugatit', 'clean')}
    assert all(x.shape == (299, 299, 3) and x.dtype == np.float32 for x in ours.values())
    np.testing.assert_array_equal(ours['fidelity'][0, 0], (pixels[0, 0].astype(np.float32) - 128) / 128)
    bytes_of = (ours['ugatit'] + 1) * 127.5
    np.testing.assert_allclose(bytes_of, np.round(bytes_of), atol=1e-4)
    clean = ours['clean'] * 128 + 128
    assert np.abs(clean - np.round(clean)).max() > 0.3 and clean.min() == 0 and clean.max() == 255


def test_tensorflow_bilinear_by_hand():
    """Position i of 6 looks at i * 4 / 6 of 4: no shift by half a pixel."""
    row = np.array([0, 60, 120, 30], np.uint8).reshape(1, 4, 1).repeat(2, 0)
    expected = [0, 40, 80, 120, 60, 30]
    bilinear = functools.partial(resize.tensorflow_bilinear, side=6)
    np.testing.assert_allclose(bilinear(row)[0, :, 0], expected, atol=1e-4)
    np.testing.assert_allclose(bilinear(row.transpose(1, 0, 2))[:, 0, 0], expected, atol=1e-4)
