"""Truth metrics and galleries of folders: whatever their order, images of equal names are compared and shown together."""

import numpy as np
import pytest

from tests.helpers.array_source import ArraySource, noise
from ugatit_jax.evaluate.folder_accuracy import FolderAccuracy
from ugatit_jax.evaluate.folder_truth import COLOUR_NOTE, NO_BASELINES, folder_truth
from ugatit_jax.evaluate.folders import make_galleries

INPUTS = noise(4, seed=1, low=40, high=160)
TRUTHS = INPUTS + 51  # 0.4 of the range of 2
OUTPUTS = TRUTHS - np.array([0, 10, 20, 5], np.uint8).reshape(-1, 1, 1, 1)
ORDER = [2, 0, 3, 1]


def sources(**others):
    """Outputs a to d; inputs and true images are in another order, real images of other names."""
    names = 'abcd'
    found = {
        'fake': ArraySource(OUTPUTS, [f'{name}.png' for name in names]),
        'truth': ArraySource(TRUTHS[ORDER], [f'{names[i]}.webp' for i in ORDER]),
        'source': ArraySource(INPUTS[ORDER[::-1]], [f'{names[i]}.jpg' for i in ORDER[::-1]]),
        'target': ArraySource(TRUTHS[:3], ['1.png', '2.png', '3.png']),
    }
    return found | others


def test_images_of_equal_names_are_compared():
    given = sources(target=ArraySource(TRUTHS[::-1], ['1.png', '2.png', '3.png', '4.png']))
    found = folder_truth(given, None)
    np.testing.assert_allclose(found.l1, np.array([0, 10, 20, 5]) / 127.5, atol=1e-6)
    values = {name: value.value for name, value in found.metrics.items()}
    assert values['truth_l1_input'] == pytest.approx(0.4) and values['truth_l1_colour'] < 1e-6  # the match is exact here
    assert values['truth_l1_share'] == pytest.approx(35 / 4 / 51)
    assert found.indices == [1, 3, 0, 2] and found.notes == [COLOUR_NOTE]
    other = ArraySource(INPUTS, ['a.png', 'b.png', 'c.png', 'x.png'])
    without = folder_truth(given | {'source': other}, None)
    assert without.notes == [NO_BASELINES] and list(without.metrics) == ['truth_l1', 'truth_psnr', 'truth_ssim']


def test_galleries_show_images_of_equal_names_and_the_best_first():
    given = sources()
    true = folder_truth(given, None)
    logits = FolderAccuracy({}, np.array([1.0, 4, -2, 3]), [])
    features = {'fake': np.array([[0.0], [5], [2], [9]]), 'target': np.array([[10.0], [0], [5.5]])}
    for compared, truth, accuracy, best, ranking in (
        (features, true, logits, 0, 'by the distance of the output'),
        ({}, true, logits, 0, 'by L1 to the true image'),
        ({}, None, logits, 1, 'by the log odds'),
    ):
        galleries, text = make_galleries(given, compared, 'Some', truth, accuracy)
        assert list(galleries) == ['Examples', 'Best', 'Worst'] and text.startswith(ranking)
        row = galleries['Best'][0]
        assert row.caption.startswith(f'{"abcd"[best]}.png') and f'log odds {logits.logits[best]:+.1f}' in row.caption
        np.testing.assert_array_equal(row.images['input'], INPUTS[best])
        np.testing.assert_array_equal(row.images['output'], OUTPUTS[best])
        assert ('truth' in row.images) == (truth is not None) and ('nearest real' in row.images) == bool(compared)
        if truth is not None:
            np.testing.assert_array_equal(row.images['truth'], TRUTHS[best])
            assert f'truth L1 {true.l1[best]:.3f}' in row.caption
        if compared:
            np.testing.assert_array_equal(row.images['nearest real'], TRUTHS[1])
            assert 'distance 0.00' in row.caption and 'Some features' in text
