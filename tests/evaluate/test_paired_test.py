"""Paired test images of a run: which are taken as pairs, and what the baselines are."""

import jax
import numpy as np
import pytest

from tests.helpers.array_source import ArraySource, noise, paired_datasets
from tests.helpers.small import small_config
from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import Datasets, open_datasets
from ugatit_jax.evaluate.classifier import Classifier, ClassifierNetwork
from ugatit_jax.evaluate.evaluator import DirectionScores, Evaluator
from ugatit_jax.evaluate.paired_test import NOTE, PairedTest, find_pairs
from ugatit_jax.evaluate.run import make_galleries
from ugatit_jax.models.generator import GeneratorOutput

CONFIG = small_config(evaluation__batch_size=2)


def half(images):
    """A linear change of the colours, exact in whole numbers for even values."""
    return images // 2 + 40


def even(n, seed):
    return noise(n, seed, low=30, high=100) * 2


def test_pairs_are_found_by_name_and_need_all_names_to_be_equal():
    datasets = paired_datasets(even(4, 1), half)
    assert find_pairs(CONFIG, datasets) == {'A': [3, 2, 1, 0], 'B': [3, 2, 1, 0]}
    other = paired_datasets(even(3, 1), half, keys_a=['a', 'b', 'c'], keys_b=['c', 'a', 'b'])
    assert find_pairs(CONFIG, other) == {'A': [1, 2, 0], 'B': [2, 0, 1]}
    unequal = paired_datasets(even(4, 1), half, keys_b=['0.png', '1.png', '2.png', '4.png'])
    assert find_pairs(CONFIG, unequal) is None
    fewer = Datasets(
        datasets.train_A, datasets.train_B, datasets.test_A, ArraySource(even(3, 1), ['0.png', '1.png', '2.png'])
    )
    assert find_pairs(CONFIG, fewer) is None
    assert find_pairs(CONFIG, Datasets(datasets.train_A, datasets.train_B, None, datasets.test_B)) is None


def test_data_paired_test_switches_pairs_off_or_requires_them():
    paired, required = paired_datasets(even(4, 1), half), small_config(data__paired_test=True)
    assert find_pairs(small_config(data__paired_test=False), paired) is None
    assert find_pairs(required, paired) == find_pairs(CONFIG, paired)
    unequal = paired_datasets(even(4, 1), half, keys_b=['0.png', '1.png', '2.png', '4.png'])
    missing = Datasets(paired.train_A, paired.train_B, paired.test_A, None)
    for datasets, message in (
        (unequal, "data.paired_test=True needs images of equal numbers and names, but .*; '3' is in the test images of A"),
        (missing, 'data.paired_test=True, but there are no test images of B'),
    ):
        with pytest.raises(UserError, match=message) as error:
            Evaluator(required, datasets, None, sharding.make_mesh(1), None)
        assert '\n' not in str(error.value)


def test_drawn_faces_are_no_pairs_and_emoji_are():
    drawn, emoji = open_datasets(CONFIG), open_datasets(small_config(data__source='emoji'))
    assert find_pairs(CONFIG, drawn) is None
    assert find_pairs(CONFIG, emoji) == {'A': list(range(120)), 'B': list(range(120))}


@pytest.fixture(scope='module')
def paired():
    """Two of four test images, whose colours B has changed; on training images A has other statistics than in the test."""
    datasets = paired_datasets(even(4, 1), half)
    return PairedTest(CONFIG, datasets, {'A': [0, 2], 'B': [1, 3]}, find_pairs(CONFIG, datasets), None)


def test_the_truth_is_the_image_of_that_name(paired):
    a, b = paired.datasets.test_A.images, paired.datasets.test_B.images
    np.testing.assert_array_equal(paired.truths['A2B'], b[[3, 1]])
    np.testing.assert_array_equal(paired.truths['B2A'], a[[2, 0]])
    np.testing.assert_array_equal(paired.truths['A2B'], half(a[[0, 2]]))


def test_baselines_are_what_they_say(paired):
    """The input's L1 is that of input and truth; the colour match finds a linear change from unpaired training images."""
    a = paired.datasets.test_A.images
    l1 = np.abs(a[[0, 2]] / 127.5 - half(a)[[0, 2]] / 127.5).mean((1, 2, 3))
    found = paired.baselines['A2B']
    np.testing.assert_allclose(found['input']['l1'], l1, rtol=1e-5)
    assert found['colour']['l1'].max() < 0.006 < 0.15 < l1.min()  # rounding: less than a step of 1 / 127.5
    back = paired.baselines['B2A']
    assert back['colour']['l1'].max() < 0.012 and back['input']['l1'].min() > 0.15


def test_the_colour_match_is_fitted_on_training_images(paired):
    train = paired.datasets.train_A.images.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(paired.statistics['A'].mean, train.mean(0), rtol=1e-9)
    np.testing.assert_allclose(paired.statistics['B'].deviation, paired.datasets.train_B.images.reshape(-1, 3).std(0))
    assert np.abs(paired.datasets.test_A.images.reshape(-1, 3).std(0) / train.std(0) - 1).max() > 0.02


def test_known_outputs_have_known_scores(paired):
    truths = paired.truths['A2B']
    metrics, l1 = paired.score(truths, 'A2B')
    assert metrics['truth_l1'].value == 0 and metrics['truth_l1_share'].value == 0 and (l1 == 0).all()
    assert metrics['truth_ssim'].value == pytest.approx(1, abs=1e-6) and metrics['truth_psnr'].value > 100
    inputs = paired.datasets.test_A.images[[0, 2]]
    metrics, l1 = paired.score(inputs, 'A2B')
    assert metrics['truth_l1_share'].value == 1
    for name in ('truth_l1', 'truth_psnr', 'truth_ssim'):
        assert metrics[name] == metrics[f'{name}_input'] and metrics[name] != metrics[f'{name}_colour']
    shifted = np.stack([truths[0] + 51, truths[1]]).astype(np.uint8)
    metrics, l1 = paired.score(shifted, 'A2B')
    np.testing.assert_allclose(l1, [0.4, 0], atol=1e-6)
    assert metrics['truth_l1'].value == pytest.approx(0.2)


class Translator:
    """In place of the networks: genA2B halves the distance to black as `half` does, genB2A does nothing."""

    def module(self, name):
        self.name = name
        return self

    def apply(self, variables, images):
        image = images * variables['params']['factor'] + variables['params']['offset']
        return GeneratorOutput(image, None, None)


@pytest.fixture(scope='module')
def evaluator(effnet_extractor):
    datasets = paired_datasets(even(4, 1), half)
    mesh = sharding.make_mesh(jax.device_count())
    made = Evaluator(CONFIG, datasets, Translator(), mesh, None, effnet=effnet_extractor)
    # untrained: domain accuracy plays no part here
    made.classifier = Classifier(ClassifierNetwork().init(jax.random.key(0), np.zeros((1, 64, 64, 3))))
    return made


# half(x) = x / 2 + 40 of values 0..255 is y / 2 - 0.5 + 40 / 127.5 of values -1..1
GENERATOR = {
    'genA2B': {'factor': np.float32(0.5), 'offset': np.float32(40 / 127.5 - 0.5)},
    'genB2A': {'factor': np.float32(1), 'offset': np.float32(0)},
}


def test_the_evaluator_scores_both_directions(evaluator):
    metrics = evaluator.metrics(GENERATOR)
    assert NOTE in evaluator.notes
    assert metrics['truth_l1_A2B'] < 1e-6 and metrics['truth_l1_share_A2B'] < 1e-5
    assert metrics['truth_ssim_A2B'] == pytest.approx(1, abs=1e-5)
    assert metrics['truth_perceptual_A2B'] == pytest.approx(0, abs=1e-6)
    assert metrics['truth_l1_share_B2A'] == 1 and metrics['truth_l1_share'] == pytest.approx(0.5, abs=1e-5)
    for name in ('truth_l1', 'truth_psnr', 'truth_ssim', 'truth_perceptual'):
        assert metrics[f'{name}_B2A'] == pytest.approx(metrics[f'{name}_input_B2A'], rel=1e-4)
        assert metrics[f'{name}_input_A2B'] == pytest.approx(metrics[f'{name}_input_B2A'], rel=1e-3)  # both are symmetric
    assert metrics['truth_perceptual_input'] > 1e-4
    # the fakes of A2B are the images of B, in the order of A
    assert metrics['kid_effnet_B2A'] == pytest.approx(metrics['kid_effnet_baseline_B2A'], rel=1e-3)
    assert metrics['kid_effnet_A2B'] < metrics['kid_effnet_baseline_A2B']
    assert 'kid' not in metrics and 'kid_A2B' not in metrics


def test_pages_show_the_truth_beside_the_fake(evaluator):
    scores = evaluator.score(GENERATOR, 'B2A')
    rows = make_galleries('B2A', scores)['B2A: examples']
    assert list(rows[0].images) == ['real_B', 'fake_A', 'true_A', 'rec_B']
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row.images['true_A'], evaluator.datasets.test_A.images[3 - i])
        assert f'truth L1 {scores.truth_l1[i]:.3f}' in row.caption
    without = make_galleries('B2A', DirectionScores(scores.outputs, {}, scores.target_logits))['B2A: examples']
    assert list(without[0].images) == ['real_B', 'fake_A', 'rec_B'] and 'truth' not in without[0].caption
