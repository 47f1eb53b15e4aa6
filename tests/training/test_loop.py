"""The main job through its real entry point, with a shrunken config."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.training.metric_writer import MEASURED

SMALL = (
    '--config.data.image_size=32',
    '--config.model.n_layers_global=4',
    '--config.model.n_layers_local=3',
    '--config.model.ch=2',
    '--config.model.n_res=1',
    '--config.training.steps=6',
    '--config.training.log_every=1',
    '--config.training.checkpoint_every=2',
    '--config.training.preview_every=3',
    '--config.training.preview_images=2',
    '--config.evaluation.every=0',
)


def main(*flags: str, config: str = 'configs/default.py', devices: int = 1) -> subprocess.CompletedProcess:
    """python -m ugatit_jax.main in a process of its own."""
    env = {**os.environ, 'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={devices}'}
    return subprocess.run(
        [sys.executable, '-m', 'ugatit_jax.main', f'--config={config}', *flags],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
    )


def metrics_of(workdir: pathlib.Path) -> list[dict]:
    """Rows of metrics.jsonl without the clock's."""
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows]


def without_rho(rows: list[dict]) -> list[dict]:
    """Rows without rho: Adam's first steps go by the signs of its tiny gradients, which a program's rounding decides."""
    return [{k: v for k, v in row.items() if not k.startswith('rho_')} for row in rows]


def weights_of(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    """Everything in the newest checkpoint."""
    import jax

    checkpoints = Checkpoints(str(workdir))
    items = checkpoints.manager.restore(checkpoints.latest())
    return {
        jax.tree_util.keystr(p): np.asarray(x)
        for p, x in jax.tree.leaves_with_path({'generators': items['generators'], 'training': items['training']})
    }


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> pathlib.Path:
    """The workdir of an uninterrupted run."""
    workdir = tmp_path_factory.mktemp('run')
    result = main(f'--workdir={workdir}', *SMALL)
    assert result.returncode == 0, result.stderr
    return workdir


def test_a_run_leaves_metrics_previews_and_checkpoints(finished):
    rows = metrics_of(finished)
    assert [row['step'] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert all(isinstance(row['step'], int) and np.isfinite(list(row.values())).all() for row in rows)
    assert {'D_ad_GA', 'D_cam_LB', 'G_ad_LA', 'G_adcam_GB', 'G_recon_A', 'G_id_B', 'G_cam_A', 'G', 'D'} <= set(rows[0])
    previews = sorted(path.name for path in (finished / 'previews').iterdir())
    assert previews == ['00000000.png', '00000003.png', '00000006.png']
    sheets = [Image.open(finished / 'previews' / name) for name in previews]
    assert len({sheet.size for sheet in sheets}) == 1 and sheets[0].width == 6 * 36 + 4
    assert np.asarray(sheets[0]).std() > 20  # not blank
    assert sorted(path.name for path in (finished / 'checkpoints').iterdir()) == ['2', '4', '6']
    assert list(finished.glob('events.out.tfevents.*'))
    assert rows[0]['rho_mean/genA2B/decoder_0_norm_1'] == pytest.approx(1, abs=0.01)
    assert 0 <= rows[5]['rho_min/genB2A/up_norm_0'] <= rows[5]['rho_max/genB2A/up_norm_0'] < 0.01
    page = (finished / 'report.html').read_text()
    assert 'finished: step 6 of 6' in page and page.count('<img ') == 3 and f'--workdir={finished}' in page


def test_stopped_and_started_equals_uninterrupted(finished, tmp_path):
    """As if killed after the checkpoint of step 4: the lines after it are there, the later checkpoint is not."""
    workdir = tmp_path / 'run'
    shutil.copytree(finished, workdir)
    shutil.rmtree(workdir / 'checkpoints' / '6')
    with (workdir / 'metrics.jsonl').open('a') as file:
        file.write('{"step": 7, "D": 0.1')  # and killed while writing
    result = main(f'--workdir={workdir}', *SMALL)
    assert result.returncode == 0 and 'continuing from step 4' in result.stderr, result.stderr
    assert metrics_of(workdir) == metrics_of(finished)
    resumed, whole = weights_of(workdir), weights_of(finished)
    assert resumed.keys() == whole.keys() and len(whole) > 100
    for name, value in whole.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


def test_device_resident_equals_the_pipeline_and_a_second_run(finished, tmp_path):
    result = main(f'--workdir={tmp_path}', *SMALL, '--config.data.device_resident=True')
    assert result.returncode == 0, result.stderr
    for ours, theirs in zip(without_rho(metrics_of(tmp_path)), without_rho(metrics_of(finished)), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_another_run_in_the_same_workdir_is_refused(finished):
    before = sorted(path for path in finished.rglob('*') if path.is_file())
    result = main(f'--workdir={finished}', *SMALL, '--config.model.ch=3', '--config.training.steps=8')
    assert result.returncode == 2
    assert 'model.ch was 2, is 3' in result.stderr and 'training.steps' not in result.stderr
    assert sorted(path for path in finished.rglob('*') if path.is_file()) == before


@pytest.mark.parametrize(
    'flags, message',
    [
        (('--config.trainin.steps=3',), 'trainin'),
        (('--config.model.chh=3',), 'Did you mean "ch"'),
        (('--config.training.step=3',), 'step'),
        (('--config.training.steps=many',), 'many'),
        (('--config.data.image_size=64',), 'model.n_layers_global=6'),
        (('--config.data.source=folder:/nowhere',), '/nowhere'),
        (('--config.data.source=folder',), 'folder:PATH'),
        (('--nonsense=1',), 'nonsense'),
        (('training.steps=3',), '--config.FIELD=VALUE'),
    ],
)
def test_mistakes_end_in_one_line(flags, message, tmp_path):
    result = main(f'--workdir={tmp_path / "run"}', *flags)
    lines = [line for line in result.stderr.splitlines() if line.startswith('ugatit_jax: ')]
    assert result.returncode == 2 and len(lines) == 1 and message in lines[0], result.stderr
    assert 'Traceback' not in result.stderr
    assert not (tmp_path / 'run').exists()


def test_missing_flags_and_config_files(tmp_path):
    assert '--workdir is missing' in main().stderr
    result = main(f'--workdir={tmp_path}', config='configs/nothing.py')
    assert result.returncode == 2 and 'configs/nothing.py' in result.stderr and 'Traceback' not in result.stderr


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers(tmp_path):
    result = main(f'--workdir={tmp_path / "run"}', *SMALL, '--config.data.batch_size=3', devices=2)
    assert result.returncode == 2 and 'data.batch_size=3 does not divide over 2 devices' in result.stderr
