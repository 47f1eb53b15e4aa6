"""Several processes on one machine, joined by jax.distributed, against one."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.helpers.command import SMALL, main, metrics_of, without_rho
from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.checkpoints import Checkpoints

FLAGS = (
    *SMALL,
    '--config.data.batch_size=4',
    '--config.training.steps=3',
    '--config.training.checkpoint_every=3',
    '--config.evaluation.every=3',
    '--config.evaluation.images=5',
    '--config.evaluation.inception_weights=none',
)


def start_two(workdir, *flags):
    """Two joined processes of two devices each."""
    with socket.socket() as free:
        free.bind(('localhost', 0))
        address = f'localhost:{free.getsockname()[1]}'
    processes = []
    for i in range(2):
        env = {
            **os.environ,
            'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count=2',
            'JAX_COORDINATOR_ADDRESS': address,
            'JAX_NUM_PROCESSES': '2',
            'JAX_PROCESS_ID': str(i),
        }
        command = [
            sys.executable,
            '-m',
            'ugatit_jax.main',
            '--distributed',
            '--config=configs/default.py',
            f'--workdir={workdir}',
            *FLAGS,
            *flags,
        ]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=env, text=True, stderr=subprocess.PIPE))
    return processes


@pytest.mark.slow  # two compilations of the step at once
def test_two_processes_leave_at_the_same_step_when_one_is_asked(tmp_path):
    processes = start_two(tmp_path, '--config.training.steps=100000', '--config.training.checkpoint_every=100000')
    assert any('step 5/' in line for line in processes[0].stderr)
    processes[1].terminate()
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [75, 75], '\n'.join(errors)
    step = Checkpoints(str(tmp_path)).latest()
    assert step >= 5 and all(f'SIGTERM: saved step {step} in' in said for said in errors)


@pytest.mark.slow  # three compilations of the step, two of them at once
def test_two_processes_of_two_devices_equal_one_device(tmp_path):
    """The same numbers only if every process reads its own rows of the same global batch."""
    processes = start_two(tmp_path / 'two')
    errors = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], '\n'.join(errors)

    alone = main(f'--workdir={tmp_path / "one"}', *FLAGS)
    assert alone.returncode == 0, alone.stderr
    rows = without_rho(metrics_of(tmp_path / 'two'))
    assert [row['step'] for row in rows] == [1, 2, 3]
    # the first step before any update, then what Adam makes of sums in another order; other images differ by a tenth
    for two, one, tolerance in zip(rows, without_rho(metrics_of(tmp_path / 'one')), (1e-5, 5e-3, 5e-3), strict=True):
        assert two == pytest.approx(one, rel=tolerance)
    two, one = (json.loads((tmp_path / name / 'evaluation.jsonl').read_text()) for name in ('two', 'one'))
    assert two == pytest.approx(one, rel=2e-2, abs=0.2)  # 5 images: one more or less judged right is 0.2
    assert two['cycle_l1'] == pytest.approx(one['cycle_l1'], rel=1e-3)


def test_processes_that_cannot_be_found_are_explained(tmp_path):
    result = main(f'--workdir={tmp_path}', '--distributed')
    assert result.returncode == 2 and 'JAX_COORDINATOR_ADDRESS=HOST:PORT' in result.stderr
