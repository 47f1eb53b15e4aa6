"""Generators in, numbers out; and the run that is evaluated while it trains and afterwards, through its entry points."""

import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from configs import default
from tests.conftest import ROOT
from tests.training.test_loop import SMALL, main
from ugatit_jax import sharding
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.data.sources.open_source import Datasets, Selected
from ugatit_jax.errors import UserError
from ugatit_jax.evaluate import classifier
from ugatit_jax.evaluate.evaluator import Evaluator, make_evaluator
from ugatit_jax.evaluate.run import evaluate_run
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import make_networks

EVALUATED = (
    '--config.evaluation.every=2',
    '--config.evaluation.images=3',
    '--config.evaluation.inception_weights=none',
    '--config.training.keep_best=-domain_accuracy',
    '--config.training.keep_checkpoints=1',
)


def small_config(**evaluation):
    config = default.get_config()
    config.data.image_size, config.model.n_layers_global, config.model.n_layers_local = 32, 4, 3
    config.model.ch, config.model.n_res = 2, 1
    config.evaluation.update(images=5, batch_size=2, inception_weights='none', **evaluation)
    return config


class Painter:
    """In place of a generator: adds params['shift'] to the image, and looks at its middle, or at nothing."""

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
    def __init__(self, heatmap=True):
        self.painter = Painter(heatmap)

    def module(self, name):
        return self.painter


@pytest.fixture(scope='module')
def datasets():
    return open_datasets(small_config())


@pytest.fixture(scope='module')
def evaluator(datasets):
    """Makes evaluators that share the classifier of the first one."""
    mesh, config = sharding.make_mesh(jax.device_count()), resolve(small_config())
    shared = Evaluator(config, datasets, None, mesh, None).classifier

    def make(datasets, networks=None, extractor=None, images=5):
        made = Evaluator(config, datasets, networks or Painters(), mesh, extractor, images)
        made.classifier = shared
        return made

    return make


def shifts(there, back):
    return {'genA2B': {'shift': np.float32(there)}, 'genB2A': {'shift': np.float32(back)}}


def test_known_generators_have_known_numbers(datasets, evaluator):
    evaluate = evaluator(datasets)
    metrics = evaluate.metrics(shifts(0.25, -0.125))
    assert [metrics['cycle_l1_A2B'], metrics['cycle_l1_B2A']] == pytest.approx([0.125] * 2)
    assert metrics['cycle_psnr'] == pytest.approx(20 * np.log10(2 / 0.125), abs=1e-3)
    assert metrics['identity_l1_A2B'] == pytest.approx(0.25) and metrics['identity_l1_B2A'] == pytest.approx(0.125)
    assert metrics['identity_l1'] == pytest.approx((0.25 + 0.125) / 2)
    # a shift of the colours makes no dog of a cat, and the classifier knows real ones
    assert metrics['domain_accuracy_A2B'] < 0.5 and metrics['domain_accuracy_real'] > 0.9
    assert metrics['pointing_accuracy_A2B'] == 1 and 0.1 < metrics['heatmap_chance'] < 0.6
    assert not any(name.startswith(('kid', 'fid')) for name in metrics)
    scored = evaluate(shifts(0, 0))['A2B'].translation
    assert scored.real.shape == (5, 32, 32, 3) and scored.real.dtype == np.uint8  # three batches, the last one filled up
    np.testing.assert_array_equal(scored.fake, scored.real)
    np.testing.assert_array_equal(scored.real[4], datasets.test_A.read(16))  # evenly spread: 0, 4, 8, 12, 16


def test_real_images_for_fakes_are_taken_for_them(datasets, evaluator):
    """Real images of B as translations of A, as a perfect generator would make them."""
    other = Datasets(datasets.train_A, datasets.train_B, datasets.test_B, datasets.test_B)
    assert evaluator(other).metrics(shifts(0, 0))['domain_accuracy_A2B'] == 1


def test_without_cam_there_are_no_heatmap_metrics(datasets, evaluator):
    metrics = evaluator(datasets, Painters(heatmap=False)).metrics(shifts(0, 0))
    assert 'cycle_l1_A2B' in metrics and not any('heat' in name or 'pointing' in name for name in metrics)


def test_the_identity_is_of_the_targets_images(datasets, evaluator):
    three = Datasets(datasets.train_A, datasets.train_B, Selected(datasets.test_A, [0, 5, 9]), datasets.test_B)
    numbers = {name: one.translation.metrics for name, one in evaluator(three)(shifts(0, 0)).items()}
    assert [len(numbers['A2B'][name]) for name in ('cycle_l1', 'identity_l1')] == [3, 5]
    assert [len(numbers['B2A'][name]) for name in ('cycle_l1', 'identity_l1')] == [5, 3]


def test_training_images_where_there_are_no_others_and_too_few_refused(datasets, evaluator):
    alone = Datasets(datasets.train_A, datasets.train_B, None, datasets.test_B)
    assert 'no test images of A' in evaluator(alone).notes[0]
    one = Datasets(datasets.train_A, datasets.train_B, datasets.test_A, Selected(datasets.test_B, [3]))
    with pytest.raises(UserError, match='has 1 image; an evaluation needs 2 or more'):
        evaluator(one)


def test_inception_metrics_both_ways(datasets, extractor, evaluator):
    evaluate = evaluator(datasets, extractor=extractor, images=2)
    scored = evaluate(shifts(0, 0))
    for direction in ('A2B', 'B2A'):
        metrics = scored[direction].metrics
        assert {'kid', 'kid_source', 'kid_baseline', 'fid', 'precision', 'recall'} <= metrics.keys()
        assert metrics['kid'].value == pytest.approx(metrics['kid_baseline'].value, rel=1e-6)  # fakes are the source
        assert metrics['fid'].value > 1


@pytest.mark.parametrize(
    'every, saved, best, message',
    [
        (10, 10, 'kid_A2B', 'sha256 6726825d'),
        (0, 10, '-domain_accuracy', 'evaluation.every=0'),
        (10, 15, 'cycle_l1', 'divisor or multiple'),
        (10, 20, '-pointing_accuracy', ''),
        (0, 10, 'G_A', ''),
    ],
)
def test_a_best_that_no_checkpoint_would_tell_is_refused(every, saved, best, message, datasets):
    config = small_config(every=every)
    config.training.checkpoint_every, config.training.keep_best = saved, best
    config = resolve(config)
    arguments = config, datasets, make_networks(config), sharding.make_mesh(jax.device_count())
    if not message:
        assert (make_evaluator(*arguments) is None) == (every == 0)
        return
    with pytest.raises(UserError, match=message):
        make_evaluator(*arguments)


def test_heatmaps_cannot_be_judged_without_masks(datasets):
    config = small_config(every=10)
    config.training.keep_best = 'heatmap_iou'
    without = Datasets(*(Selected(source, range(20)) for source in vars(datasets).values()))
    with pytest.raises(UserError, match='where they have to change'):
        make_evaluator(resolve(config), without, None, sharding.make_mesh(jax.device_count()))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of 6 steps that was evaluated every 2."""
    workdir = tmp_path_factory.mktemp('run')
    result = main(f'--workdir={workdir}', *SMALL, *EVALUATED)
    assert result.returncode == 0, result.stderr
    return workdir


def test_training_logs_evaluations_and_keeps_the_best(trained):
    rows = [json.loads(line) for line in (trained / 'evaluation.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == [2, 4, 6]
    assert all(np.isfinite(list(row.values())).all() and 'pointing_accuracy_B2A' in row for row in rows)
    best = max(rows, key=lambda row: row['domain_accuracy'])['domain_accuracy']
    kept = {int(path.name) for path in (trained / 'checkpoints').iterdir()}
    assert 6 in kept and len(kept) <= 2
    assert best in {row['domain_accuracy'] for row in rows if row['step'] in kept}


def test_eval_mode_writes_numbers_and_page_and_changes_nothing_else(trained, tmp_path, monkeypatch):
    workdir = tmp_path / 'run'
    shutil.copytree(trained, workdir)
    # the networks' fields are left at their defaults here: the checkpoint knows them
    result = main(
        f'--workdir={workdir}', '--mode=eval', '--step=best', '--config.evaluation.inception_weights=none', devices=3
    )
    assert result.returncode == 0 and 'domain accuracy' in result.stdout, result.stderr
    (folder,) = (workdir / 'evaluation').iterdir()
    found = json.loads((folder / 'metrics.json').read_text())
    assert found['n']['A2B'] == {'fake': 20, 'target': 20, 'source': 20} and found['inception'] is None
    assert found['metrics']['A2B'].keys() == found['metrics']['B2A'].keys() >= {'domain_accuracy', 'cycle_l1', 'heatmap_iou'}
    assert found['step'] == folder.name.split('-')[0] and any('no KID and FID' in note for note in found['notes'])
    config = default.get_config()
    config.evaluation.inception_weights = 'none'
    monkeypatch.setattr(classifier, 'STEPS', 2)  # it is not compared
    one_device = evaluate_run(config, str(workdir), found['step'])
    for direction, metrics in one_device.metrics.items():
        for name in ('cycle_l1', 'identity_psnr', 'heatmap_inside'):
            assert metrics[name].value == pytest.approx(found['metrics'][direction][name]['value'], rel=1e-4)
    page = (folder / 'report.html').read_text()
    assert page.count('data:image/jpeg') == 2 * 4 * (6 + 4 + 4) and 'http' not in page
    assert (workdir / 'evaluation.jsonl').read_bytes() == (trained / 'evaluation.jsonl').read_bytes()
    for step, weights, message in (
        ('7', 'none', 'has no step 7'),
        ('x', 'none', 'not latest, best or a number'),
        ('latest', '/nowhere.pth', '/nowhere.pth cannot be read'),
    ):
        config.evaluation.inception_weights = weights
        with pytest.raises(UserError, match=message):
            evaluate_run(config, str(workdir), step)


@pytest.mark.slow
def test_reproduce_trains_evaluates_and_appends_to_its_table(tmp_path):
    environment = {**os.environ, 'WORKDIR': str(tmp_path), 'DATASETS': 'demo', 'PYTHON': sys.executable}
    flags = (*SMALL, '--config.training.steps=2', '--config.evaluation.inception_weights=none')
    (tmp_path / 'results.md').write_text('| data set |\n|---|\n| other | 1 |\n')
    for _ in range(2):  # a finished set is not trained again, and has its rows once
        result = subprocess.run(
            [str(ROOT / 'launch' / 'reproduce.sh'), *flags], env=environment, text=True, capture_output=True
        )
        assert result.returncode == 0, result.stderr
        table = (tmp_path / 'results.md').read_text().splitlines()
        assert len(table) == 5 and table[2] == '| other | 1 |'
        assert result.stdout.endswith('\n'.join(table) + '\n')
    assert 'nothing to do' in result.stderr
    assert [line.split(' | ')[:4] for line in table[3:]] == [
        ['| demo', '2', 'ugatit', 'A2B'],
        ['| demo', '2', 'ugatit', 'B2A'],
    ]
