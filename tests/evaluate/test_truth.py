"""Truth metrics of known images are known."""

import numpy as np
import pytest

from tests.helpers.array_source import noise
from ugatit_jax.evaluate import image_errors, truth
from ugatit_jax.evaluate.truth import compare, truth_metrics

IMAGES = noise(5, seed=1, low=20, high=200)


def test_equal_images_have_no_error(effnet_extractor):
    found = compare(IMAGES, IMAGES.copy(), effnet_extractor)
    assert list(found) == ['l1', 'psnr', 'ssim', 'perceptual'] and all(len(values) == 5 for values in found.values())
    np.testing.assert_array_equal(found['l1'], 0)
    np.testing.assert_allclose(found['ssim'], 1, atol=1e-6)
    np.testing.assert_allclose(found['perceptual'], 0, atol=1e-9)
    np.testing.assert_array_less(100, found['psnr'])


def test_a_shift_of_the_values_has_the_l1_and_psnr_of_the_shift(effnet_extractor):
    """51 of 255 is 0.4 of the range of 2, and 20 log10(5) dB below it."""
    found = compare(IMAGES, IMAGES + 51, effnet_extractor)
    np.testing.assert_allclose(found['l1'], 0.4, rtol=1e-5)
    np.testing.assert_allclose(found['psnr'], 20 * np.log10(5), rtol=1e-5)
    assert (found['ssim'] < 0.99).all() and (found['perceptual'] > 1e-4).all()


def test_pairs_stay_together_over_chunks(monkeypatch):
    """Image i differs by i: the order of the values says which images were compared."""
    shifted = IMAGES + np.arange(5, dtype=np.uint8).reshape(-1, 1, 1, 1)
    expected = compare(IMAGES, shifted, None)
    monkeypatch.setattr(truth, 'CHUNK', 2)
    chunked = compare(iter(IMAGES), iter(shifted), None)
    np.testing.assert_allclose(chunked['l1'], np.arange(5) / 127.5, rtol=1e-4)
    for name, values in expected.items():
        np.testing.assert_array_equal(chunked[name], values)
    with pytest.raises(ValueError):
        compare(IMAGES, IMAGES[:4], None)


def test_there_is_no_ssim_of_tiny_images_or_without_tensorflow(monkeypatch):
    tiny = [IMAGES[0], IMAGES[1, :10]]
    assert list(compare(tiny, tiny, None)) == ['l1', 'psnr']
    monkeypatch.setattr(truth, 'CHUNK', 1)  # in one chunk, but not in the other
    assert list(compare(tiny, tiny, None)) == ['l1', 'psnr']
    monkeypatch.setitem(__import__('sys').modules, 'tensorflow', None)
    image_errors.tensorflow.cache_clear()
    assert list(compare(IMAGES, IMAGES, None)) == ['l1', 'psnr']
    image_errors.tensorflow.cache_clear()


def test_baselines_and_share():
    found = truth_metrics(
        {'l1': np.array([0.1, 0.1, 0.4])},
        {'input': {'l1': np.array([0.8, 0.2, 0.2])}, 'colour': {'l1': np.array([0.3, 0.1, 0.2])}},
    )
    values = {name: value.value for name, value in found.items()}
    # means, not medians; the share of the means, not the mean of the shares
    assert values == pytest.approx({'truth_l1': 0.2, 'truth_l1_input': 0.4, 'truth_l1_colour': 0.2, 'truth_l1_share': 0.5})
    assert list(truth_metrics({'l1': np.array([0.1])}, {})) == ['truth_l1']
    equal = truth_metrics({'l1': np.array([0.1])}, {'input': {'l1': np.array([0.0])}})
    assert 'truth_l1_share' not in equal
