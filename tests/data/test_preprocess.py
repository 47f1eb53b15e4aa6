"""Images of any shape into squares."""

import numpy as np
import pytest

from tests.helpers.image_files import smooth
from ugatit_jax.common.errors import UserError
from ugatit_jax.data.preprocess import fit_square


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 5])
@pytest.mark.parametrize('fit', ['stretch', 'short_side_crop', 'pad'])
def test_every_mode_gives_the_square(fit, channels):
    for height, width in ((30, 50), (50, 30), (8, 8), (2, 300), (300, 2)):
        out = fit_square(np.full((height, width, channels), 77, np.uint8), 16, fit, (77, 77, 77))
        assert out.shape == (16, 16, channels)
        assert out.dtype == np.uint8
        assert np.abs(out[..., :3].astype(int) - 77).max() <= (
            2 if channels == 4 else 0
        )  # Pillow multiplies by alpha and back


def test_same_size_is_untouched():
    pixels = smooth(16, 16)
    for fit in ('stretch', 'short_side_crop', 'pad'):
        np.testing.assert_array_equal(fit_square(pixels, 16, fit), pixels)


def test_short_side_crop_keeps_the_centre_in_proportion():
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, 16:48] = 200
    for image in (pixels, pixels.transpose(1, 0, 2)):
        assert (fit_square(image, 32, 'short_side_crop') == 200).all()
    assert (fit_square(pixels, 16, 'stretch')[:, 0] == 0).all()


def test_pad_keeps_everything_over_the_background():
    wide = fit_square(np.full((20, 40, 3), 200, np.uint8), 32, 'pad', (1, 2, 3))
    tall = fit_square(np.full((40, 20, 3), 200, np.uint8), 32, 'pad', (1, 2, 3))
    for out in (wide, tall.transpose(1, 0, 2)):
        assert (out[8:24] == 200).all()
        assert (out[:8] == (1, 2, 3)).all()
        assert (out[24:] == (1, 2, 3)).all()
    assert (fit_square(np.full((20, 40, 4), 200, np.uint8), 32, 'pad', (1, 2, 3))[0, 0] == (1, 2, 3, 0)).all()
    assert fit_square(np.full((20, 40, 1), 200, np.uint8), 32, 'pad', (255, 0, 0))[0, 0, 0] == 76


def test_reduction_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = fit_square(stripes, 16)[:, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 3  # picking pixels would give 0 or 255


def test_unknown_mode():
    with pytest.raises(UserError, match='squeeze.*stretch, short_side_crop, pad'):
        fit_square(smooth(8, 8), 4, 'squeeze')
