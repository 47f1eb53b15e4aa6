"""Several processes on one machine, joined by jax.distributed as on a pod, against one."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.helpers.command import SMALL, main, metrics_of, without_rho
from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.checkpoints import Checkpoints

FLAGS = (
    *SMALL,
    '--config.data.batch_size=8',  # 2 for each of four devices: see tests/conftest.py
    '--config.training.steps=3',
    '--config.training.checkpoint_every=3',
    '--config.evaluation.every=3',
    '--config.evaluation.images=5',
    '--config.evaluation.inception_weights=none',
)
ENDLESS = ('--config.training.steps=100000', '--config.evaluation.every=0', '--config.optimizer.decay=constant')


def start(count: int, devices: int, workdir: pathlib.Path, *flags: str, last: tuple[str, ...] = (), cwd: str = ROOT):
    """`count` joined processes of some devices each; last, cwd: further flags and the checkout of the last process."""
    with socket.socket() as free:
        free.bind(('localhost', 0))
        address = f'localhost:{free.getsockname()[1]}'
    processes = []
    for i in range(count):
        env = {
            **os.environ,
            'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={devices}',
            'JAX_COORDINATOR_ADDRESS': address,
            'JAX_NUM_PROCESSES': str(count),
            'JAX_PROCESS_ID': str(i),
        }
        command = [sys.executable, '-m', 'ugatit_jax.main', '--distributed', '--config=configs/default.py']
        command += [f'--workdir={workdir}', *FLAGS, *flags, *(last if i == count - 1 else ())]
        place = cwd if i == count - 1 else ROOT
        processes.append(subprocess.Popen(command, cwd=place, env=env, text=True, stderr=subprocess.PIPE))
    return processes


def end(processes: list[subprocess.Popen], seconds: float = 600) -> tuple[list[int], list[str]]:
    """Exit codes and stderr of all."""
    errors = [process.communicate(timeout=seconds)[1] for process in processes]
    return [process.returncode for process in processes], errors


def our_lines(error: str) -> list[str]:
    """The lines that are this program's last word."""
    return [line for line in error.splitlines() if line.startswith('ugatit_jax: ')]


def test_other_settings_in_one_process_are_refused_by_all(tmp_path):
    codes, errors = end(start(2, 1, tmp_path, last=('--config.training.ema_decay=0.5', '--config.data.workers=3')))
    assert codes == [2, 2], '\n'.join(errors)
    assert our_lines(errors[1]) == [
        'ugatit_jax: process 1 has other settings or other code than process 0: training.ema_decay=0.5 (there 0.0); '
        'start all with the same flags, from the same version'
    ]
    assert len(our_lines(errors[0])) == 1 and 'process 1 has other settings or other code' in errors[0]
    assert not any('Traceback' in error for error in errors) and not list(tmp_path.iterdir())


@pytest.mark.slow  # a copy of the package
def test_another_version_of_the_code_in_one_process_is_refused_by_all(tmp_path):
    for name in ('ugatit_jax', 'configs'):
        shutil.copytree(ROOT / name, tmp_path / 'other' / name, ignore=shutil.ignore_patterns('__pycache__'))
    with (tmp_path / 'other' / 'ugatit_jax' / 'images.py').open('a') as file:
        file.write('# changed\n')
    codes, errors = end(start(2, 1, tmp_path / 'run', cwd=str(tmp_path / 'other')))
    assert codes == [2, 2], '\n'.join(errors)
    assert 'other code than process 0: code.digest=' in errors[1] and len(our_lines(errors[1])) == 1


@pytest.mark.slow  # two compilations of the step at once
def test_two_processes_leave_at_the_same_step_when_one_is_asked(tmp_path):
    processes = start(2, 2, tmp_path, *ENDLESS, '--config.training.checkpoint_every=100000')
    assert any('step 5/' in line for line in processes[0].stderr)
    processes[1].terminate()
    codes, errors = end(processes, 120)
    assert codes == [75, 75], '\n'.join(errors)
    step = Checkpoints(str(tmp_path)).latest()
    assert step >= 5 and all(f'SIGTERM: saved step {step} in' in said for said in errors)


@pytest.mark.slow  # several compilations of the step
@pytest.mark.parametrize('victim', [1, 0])
def test_the_others_leave_when_one_is_killed_and_the_run_continues(tmp_path, victim):
    """The first process, which holds JAX's service, or another one; what is made again equals what was there."""
    processes = start(2, 1, tmp_path, *ENDLESS, '--config.training.checkpoint_every=4')
    assert any('step 9/' in line for line in processes[0].stderr)
    processes[victim].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    codes, errors = end(processes, 90)
    assert time.monotonic() - killed < 60
    assert codes[victim] == -signal.SIGKILL and codes[1 - victim] in (134, -signal.SIGABRT), '\n'.join(errors)
    if codes[1 - victim] == 134:  # else JAX's own thread was first, with its own line
        assert len(our_lines(errors[1 - victim])) == 1, errors[1 - victim]
        assert 'another process of this run has ended' in errors[1 - victim]
    else:
        assert 'JAX distributed service detected fatal errors' in errors[1 - victim]
    before = {row['step']: row for row in metrics_of(tmp_path)}
    saved = Checkpoints(str(tmp_path)).latest()
    assert saved >= 4
    last = max(before)
    again = start(2, 1, tmp_path, *ENDLESS, f'--config.training.steps={last}', '--config.training.checkpoint_every=4')
    codes, errors = end(again)
    assert codes == [0, 0], '\n'.join(errors)
    after = {row['step']: row for row in metrics_of(tmp_path)}
    assert sorted(after) == list(range(1, last + 1)) and f'continuing from step {saved}' in errors[0]
    assert after == before  # bit for bit, those after the checkpoint were made again


@pytest.mark.slow  # several compilations of the step, some of them at once
@pytest.mark.parametrize('count, devices', [(2, 2), (4, 1)])
def test_processes_equal_one_device(tmp_path, count, devices):
    """The same numbers only if every process reads its own rows of the same global batch."""
    codes, errors = end(start(count, devices, tmp_path / 'many'))
    assert codes == [0] * count, '\n'.join(errors)

    alone = main(f'--workdir={tmp_path / "one"}', *FLAGS)
    assert alone.returncode == 0, alone.stderr
    rows = without_rho(metrics_of(tmp_path / 'many'))
    assert [row['step'] for row in rows] == [1, 2, 3]
    # the first step before any update, then what Adam makes of sums in another order; other images differ by a tenth
    for many, one, tolerance in zip(rows, without_rho(metrics_of(tmp_path / 'one')), (1e-5, 5e-3, 5e-3), strict=True):
        assert many == pytest.approx(one, rel=tolerance)
    many, one = (json.loads((tmp_path / name / 'evaluation.jsonl').read_text()) for name in ('many', 'one'))
    assert many == pytest.approx(one, rel=2e-2, abs=0.2)  # 5 images: one more or less judged right is 0.2
    assert many['cycle_l1'] == pytest.approx(one['cycle_l1'], rel=1e-3)


def test_processes_that_cannot_be_found_are_explained(tmp_path):
    result = main(f'--workdir={tmp_path}', '--distributed')
    assert result.returncode == 2 and 'JAX_COORDINATOR_ADDRESS=HOST:PORT' in result.stderr
