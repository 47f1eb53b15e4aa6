"""The main job through its real entry point, with a shrunken config."""

import pathlib
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import SMALL, main, main_each, metrics_of, weights_of, without_rho
from tests.helpers.fake_loop import fake_step, loop_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.errors import UserError
from ugatit_jax.training import loop
from ugatit_jax.training.loop import train


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


def test_the_step_compiles_while_the_state_is_initialised_or_read(tmp_path, monkeypatch):
    fake_step(monkeypatch)
    compile_step, compiling = loop.compile_step, threading.Event()

    def compile_noted(*arguments):
        compiling.set()
        return compile_step(*arguments)

    def behind_compilation(function):
        def run(*arguments):
            if len(arguments) == 3 or function is restore:  # init_state is traced for the shapes before, without a sharding
                assert compiling.wait(10), 'the state is made before the step begins to compile'
            return function(*arguments)

        return run

    restore = Checkpoints.restore_newest
    monkeypatch.setattr(loop, 'compile_step', compile_noted)
    monkeypatch.setattr(loop, 'init_state', behind_compilation(loop.init_state))
    assert int(train(loop_config(training__steps=4), str(tmp_path)).step) == 4

    compiling.clear()
    monkeypatch.setattr(Checkpoints, 'restore_newest', behind_compilation(restore))
    assert int(train(loop_config(training__steps=8), str(tmp_path)).step) == 8


def test_a_run_that_ends_before_its_first_step_compiles_nothing(tmp_path, monkeypatch):
    fake_step(monkeypatch)
    run = str(tmp_path / 'run')
    train(loop_config(training__steps=4), run)
    compiled = []
    monkeypatch.setattr(loop, 'compile_step', lambda *_: compiled.append(True))
    assert int(train(loop_config(training__steps=4), run).step) == 4
    with pytest.raises(UserError, match='model.ch was 2, is 3'):
        train(loop_config(training__steps=8, model__ch=3), run)
    with pytest.raises(UserError, match='model.ch=2'):
        train(loop_config(init_from=run, model__ch=3), str(tmp_path / 'new'))
    assert not compiled


MISTAKES = {  # what the line names -> flags
    'trainin': ('--config=configs/default.py', '--config.trainin.steps=3'),
    'hint: model.ch is': ('--config=configs/default.py', '--config.model.chh=3'),
    'step': ('--config=configs/default.py', '--config.training.step=3'),
    'many': ('--config=configs/default.py', '--config.training.steps=many'),
    'model.n_layers_global=6': ('--config=configs/default.py', '--config.data.image_size=64'),
    '/nowhere': ('--config=configs/default.py', '--config.data.source=folder:/nowhere'),
    'folder:PATH': ('--config=configs/default.py', '--config.data.source=folder'),
    'nonsense': ('--config=configs/default.py', '--nonsense=1'),
    '--config.FIELD=VALUE': ('--config=configs/default.py', 'training.steps=3'),
    '--config is missing': (),
    'init_from=WORKDIR/checkpoints/STEP': ('--config=configs/default.py', '--step=100', '--config.data.source=folder:/none'),
    '--dry_run is of training': ('--config=configs/default.py', '--mode=eval', '--dry_run'),
    'configs/nothing.py': ('--config=configs/nothing.py',),
}


def test_mistakes_end_in_one_line(tmp_path):
    runs = main_each(*((*flags, f'--workdir={tmp_path / "run"}') for flags in MISTAKES.values()))
    for message, (code, stderr) in zip(MISTAKES, runs, strict=True):
        lines = [line for line in stderr.splitlines() if line.startswith('ugatit_jax: ')]
        assert code == 2 and len(lines) == 1 and message in lines[0], stderr
        assert 'Traceback' not in stderr
    assert '--workdir is missing' in main_each(('--config=configs/default.py',))[0][1]
    assert not (tmp_path / 'run').exists()


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers(tmp_path):
    result = main(f'--workdir={tmp_path / "run"}', *SMALL, '--config.data.batch_size=3', devices=2)
    assert result.returncode == 2 and 'data.batch_size=3 does not divide over 2 devices' in result.stderr
