"""Images to squares and back."""

import numpy as np
import pytest

from tests.helpers.translation import noise_image
from ugatit_jax.models.generator import min_side, side_multiple
from ugatit_jax.translate.fitting import fit, restore, restore_heatmap


def test_padding_does_not_come_back():
    x = noise_image(10, 40)
    for mode in ('pad', 'stretch'):
        fitted = fit(x, 40, mode, (9, 9, 9))
        assert fitted.pixels.shape == (40, 40, 3)
        np.testing.assert_array_equal(restore(fitted.pixels, fitted).shape, x.shape)
    padded = fit(x, 40, 'pad', (9, 9, 9))
    np.testing.assert_array_equal(restore(padded.pixels, padded), x)  # nothing was resized
    assert (padded.pixels[0] == 9).all()
    cropped = fit(x, 10, 'short_side_crop', (9, 9, 9))
    np.testing.assert_array_equal(restore(cropped.pixels, cropped), x[:, 15:25])
    np.testing.assert_array_equal(cropped.original, x[:, 15:25])


@pytest.mark.parametrize(
    'n_down, pixel_unshuffle, multiple, smallest', [(2, 1, 4, 16), (3, 1, 8, 32), (1, 2, 4, 16), (2, 2, 8, 32)]
)
def test_any_size_is_padded_to_one_that_a_generator_takes(n_down, pixel_unshuffle, multiple, smallest):
    assert (side_multiple(n_down, pixel_unshuffle), min_side(multiple)) == (multiple, smallest)
    for height, width in ((1, 2), (15, 17), (20, 33)):
        x = noise_image(height, width)
        fitted = fit(x, None, 'stretch', (9, 9, 9), multiple)
        sides = np.array(fitted.pixels.shape[:2])
        assert (sides % multiple == 0).all() and sides.min() >= smallest
        assert (sides < np.maximum(x.shape[:2], smallest - multiple + 1) + multiple).all()  # and no more
        np.testing.assert_array_equal(restore(fitted.pixels, fitted), x)


def test_a_heatmap_lies_where_its_image_does():
    fitted = fit(noise_image(10, 40), 40, 'pad', (9, 9, 9))  # the image is in rows 15 to 24
    heatmap = np.zeros((10, 10))
    heatmap[4:6, 5:] = 1  # of rows 16 to 23, the right half
    restored = restore_heatmap(heatmap, fitted)
    assert restored.shape == (10, 40) and restored.dtype == np.float32
    assert restored[5, 30] == 1 and restored[5, 10] == 0
