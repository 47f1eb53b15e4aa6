"""A run that is evaluated while it trains and afterwards, through its entry points."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from configs import default
from tests.helpers.command import SMALL, main
from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.checkpoint.model_folder import SHIPPED, write_model_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate import classifier
from ugatit_jax.evaluate.effnet_weights import package_file
from ugatit_jax.evaluate.run import evaluate_run

EVALUATED = (
    '--config.evaluation.every=2',
    '--config.evaluation.images=3',
    '--config.evaluation.inception_weights=none',
    '--config.training.keep_best=-domain_accuracy',
    '--config.training.keep_checkpoints=1',
)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """The workdir of a run of 6 steps, evaluated every 2."""
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


def test_eval_mode_writes_metrics_and_page_and_changes_nothing_else(trained, tmp_path, monkeypatch):
    workdir = tmp_path / 'run'
    shutil.copytree(trained, workdir)
    # without the networks' fields, which the checkpoint has
    result = main(
        f'--workdir={workdir}', '--mode=eval', '--step=best', '--config.evaluation.inception_weights=none', devices=3
    )
    assert result.returncode == 0 and 'domain accuracy' in result.stdout, result.stderr
    (folder,) = (workdir / 'evaluation').iterdir()
    found = json.loads((folder / 'metrics.json').read_text())
    assert found['n']['A2B'] == {'fake': 20, 'target': 20, 'source': 20} and found['inception'] is None
    assert found['metrics']['A2B'].keys() == found['metrics']['B2A'].keys() >= {'domain_accuracy', 'cycle_l1', 'heatmap_iou'}
    assert ('kid_effnet' in found['metrics']['A2B']) == (package_file() is not None)
    assert found['step'] == folder.name.split('-')[0] and any('no KID and FID' in note for note in found['notes'])
    config = default.get_config()
    config.evaluation.inception_weights = 'none'
    config.evaluation.effnet = False
    monkeypatch.setattr(classifier, 'STEPS', 2)  # domain accuracy is not compared
    monkeypatch.setattr(classifier, 'RELIABLE', 1.1)  # whatever it reaches
    one_device = evaluate_run(config, str(workdir), found['step'])
    assert any('domain accuracy is unreliable' in note for note in one_device.notes)
    assert not any('domain accuracy is unreliable' in note for note in found['notes'])  # faces are easy to tell apart
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


def test_a_model_with_one_generator_or_of_the_package_is_refused(tmp_path):
    loaded = load_generators('emoji', names=('genA2B',))
    write_model_folder(tmp_path, loaded.config, loaded.step, loaded.weights, loaded.generator, 'float32')
    with pytest.raises(UserError, match='has no genB2A; --mode=eval needs both generators'):
        evaluate_run(default.get_config(), str(tmp_path))
    with pytest.raises(UserError, match='--checkpoint=emoji --to=FOLDER'):
        evaluate_run(default.get_config(), 'emoji')
    assert not (SHIPPED / 'emoji' / 'evaluation').exists()


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
