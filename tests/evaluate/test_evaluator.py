"""Generators in, metrics out: known generators have known metrics."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from tests.helpers.image_files import encoded, smooth
from tests.helpers.small import small_config
from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import Datasets, open_datasets
from ugatit_jax.data.sources.open_source import Selected
from ugatit_jax.evaluate.evaluator import Evaluator
from ugatit_jax.models.generator import GeneratorOutput

CONFIG = small_config(evaluation__batch_size=2)


class Painter:
    """In place of a generator: adds params['shift'] to the image; the heatmap is 1 in the middle, or None."""

    def __init__(self, heatmap=True):
        self.heatmap = heatmap

    def apply(self, variables, images):
        b, h, w, _ = images.shape
        middle = np.zeros((h // 4, w // 4), np.float32)
        middle[h // 8, w // 8] = 1
        heatmap = middle[None].repeat(b, 0) if self.heatmap else None
        image = images + variables['params']['shift']
        return GeneratorOutput(image, None, heatmap)


class Painters:
    """In place of the networks."""

    def __init__(self, heatmap=True):
        self.painter = Painter(heatmap)

    def module(self, name):
        return self.painter


@pytest.fixture(scope='module')
def datasets():
    return open_datasets(CONFIG)


@pytest.fixture(scope='module')
def evaluator(datasets):
    """Makes evaluators that share one trained classifier."""
    mesh = sharding.make_mesh(jax.device_count())
    shared = Evaluator(CONFIG, datasets, None, mesh, None).classifier

    def make(datasets, networks=None, extractor=None, max_images=5):
        made = Evaluator(CONFIG, datasets, networks or Painters(), mesh, extractor, max_images)
        made.classifier = shared
        return made

    return make


def shifts(there, back):
    return {'genA2B': {'shift': np.float32(there)}, 'genB2A': {'shift': np.float32(back)}}


def test_known_generators_have_known_numbers(datasets, evaluator, caplog):
    evaluate = evaluator(datasets)
    with caplog.at_level('INFO', 'ugatit_jax.common.progress'):
        metrics = evaluate.metrics(shifts(0.25, -0.125))
    assert all(message.startswith('evaluating 5 images of A and 5 of B') for message in caplog.messages)
    assert 'last time' in caplog.text or 'first time' in caplog.text
    assert [metrics['cycle_l1_A2B'], metrics['cycle_l1_B2A']] == pytest.approx([0.125] * 2)
    assert metrics['cycle_psnr'] == pytest.approx(20 * np.log10(2 / 0.125), abs=1e-3)
    assert metrics['identity_l1_A2B'] == pytest.approx(0.25) and metrics['identity_l1_B2A'] == pytest.approx(0.125)
    assert metrics['identity_l1'] == pytest.approx((0.25 + 0.125) / 2)
    # a shift of the colours does not change the domain, and the classifier knows real images
    assert metrics['domain_accuracy_A2B'] < 0.5 and metrics['domain_accuracy_real'] > 0.9
    # the shift of 0.25 in whole grey levels; less where it is cut off at white
    assert 0.2 < metrics['outside_l1_A2B'] <= 0.26 and 0.1 < metrics['outside_l1_B2A'] <= 0.13
    assert metrics['pointing_accuracy_A2B'] == 1 and 0.1 < metrics['heatmap_chance'] < 0.6
    assert not any(name.startswith(('kid', 'fid', 'truth')) for name in metrics)  # drawn faces are no pairs
    outputs = evaluate(shifts(0, 0))['A2B'].outputs
    assert outputs.real.shape == (5, 32, 32, 3) and outputs.real.dtype == np.uint8  # three batches, the last one padded
    np.testing.assert_array_equal(outputs.fake, outputs.real)
    np.testing.assert_array_equal(outputs.real[4], datasets.test_A.read(16))  # evenly spaced: 0, 4, 8, 12, 16


def test_real_images_of_the_target_as_fakes_have_full_domain_accuracy(datasets, evaluator):
    """Real images of B as translations of A, as a perfect generator would make them."""
    other = Datasets(datasets.train_A, datasets.train_B, datasets.test_B, datasets.test_B)
    assert evaluator(other).metrics(shifts(0, 0))['domain_accuracy_A2B'] == 1


def test_a_classifier_that_takes_all_for_b_is_warned_of(datasets, evaluator, caplog):
    evaluate = evaluator(datasets)
    evaluate.classifier = SimpleNamespace(logits=lambda images, domain: np.full(5, 1 if domain == 'B' else -1))
    with caplog.at_level('WARNING'):
        assert evaluate.classifier_accuracy == evaluate.classifier_accuracy == 0.5
    assert [record.getMessage() for record in caplog.records] == [
        'domain accuracy is unreliable: its classifier is right on only 50.0% of the real images'
    ]


def test_without_cam_there_are_no_heatmap_metrics(datasets, evaluator):
    metrics = evaluator(datasets, Painters(heatmap=False)).metrics(shifts(0, 0))
    assert (
        'cycle_l1_A2B' in metrics
        and 'outside_l1_A2B' in metrics
        and not any('heat' in name or 'pointing' in name for name in metrics)
    )


def test_the_identity_is_of_the_targets_images(datasets, evaluator):
    three = Datasets(datasets.train_A, datasets.train_B, Selected(datasets.test_A, [0, 5, 9]), datasets.test_B)
    numbers = {name: one.outputs.metrics for name, one in evaluator(three)(shifts(0, 0)).items()}
    assert [len(numbers['A2B'][name]) for name in ('cycle_l1', 'identity_l1')] == [3, 5]
    assert [len(numbers['B2A'][name]) for name in ('cycle_l1', 'identity_l1')] == [5, 3]


def test_training_images_without_a_test_split_and_an_error_for_one_image(datasets, evaluator):
    alone = Datasets(datasets.train_A, datasets.train_B, None, datasets.test_B)
    assert 'no test images of A' in evaluator(alone).notes[0]
    one = Datasets(datasets.train_A, datasets.train_B, datasets.test_A, Selected(datasets.test_B, [3]))
    with pytest.raises(UserError, match='has 1 image; an evaluation needs 2 or more'):
        evaluator(one)


def test_inception_metrics_of_both_directions(datasets, extractor, evaluator):
    evaluate = evaluator(datasets, extractor=extractor, max_images=2)
    scored = evaluate(shifts(0, 0))
    for direction in ('A2B', 'B2A'):
        metrics = scored[direction].metrics
        assert {'kid', 'kid_source', 'kid_baseline', 'fid', 'precision', 'recall'} <= metrics.keys()
        assert metrics['kid'].value == pytest.approx(metrics['kid_baseline'].value, rel=1e-6)  # fakes are the source
        assert metrics['fid'].value > 1


@pytest.mark.parametrize('fit, box', [('stretch', (0, 0, 40, 24)), ('short_side_crop', (8, 0, 32, 24)), ('pad', None)])
def test_inception_sees_real_images_at_the_size_of_their_files(fit, box, tmp_path):
    """So that the same numbers come of `python -m ugatit_jax.evaluate` on the folder of test images."""
    for split in ('trainA', 'trainB', 'testA', 'testB'):
        (tmp_path / split).mkdir()
        for i in range(2):
            (tmp_path / split / f'{i}.jpg').write_bytes(encoded(smooth(24, 40, seed=i), 'JPEG'))
    config = small_config(data__source=f'folder:{tmp_path}', data__fit=fit)
    made = Evaluator(config, open_datasets(config), Painters(), sharding.make_mesh(1), None)
    original = Image.open(tmp_path / 'testB' / '1.jpg')
    expected = (
        np.asarray(original.crop(box))
        if box
        else np.pad(np.asarray(original), ((8, 8), (0, 0), (0, 0)), constant_values=255)
    )
    np.testing.assert_array_equal(list(made.original_images('B'))[1], expected)
