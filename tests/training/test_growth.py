"""A long run takes no more memory, files or threads at its end than at its beginning."""

import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.helpers.command import SMALL
from tests.helpers.paths import ROOT

STEPS = 20_000
FLAGS = (
    *SMALL,
    '--config.data.batch_size=1',
    f'--config.training.steps={STEPS}',
    '--config.training.log_every=50',
    '--config.training.checkpoint_every=1000',
    '--config.training.preview_every=1000',
)
ALLOWED_MB = 60  # between the second and the last quarter: the page's and metrics' rows, and how malloc keeps pieces


def sample(pid):
    """(MB resident, open files, threads) of a process."""
    fields = dict(line.split(':', 1) for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines())
    return int(fields['VmRSS'].split()[0]) / 1024, len(os.listdir(f'/proc/{pid}/fd')), int(fields['Threads'])


def step_of(workdir):
    """The step of the last complete row of the metrics; 0 before there is one."""
    path = workdir / 'metrics.jsonl'
    lines = path.read_text().split('\n')[:-1] if path.exists() else []
    return json.loads(lines[-1])['step'] if lines else 0


@pytest.mark.slow  # 20,000 steps
def test_memory_files_and_threads_do_not_grow(tmp_path):
    command = [sys.executable, '-m', 'ugatit_jax.main', '--config=configs/default.py', f'--workdir={tmp_path}', *FLAGS]
    samples: dict[int, list[tuple[float, int, int]]] = {quarter: [] for quarter in range(4)}
    environment = {**os.environ, 'XLA_FLAGS': ''}  # so many steps are faster with a program that is compiled as for users
    with open(tmp_path.with_suffix('.err'), 'w') as errors:
        run = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=errors)
        while run.poll() is None:
            if step := step_of(tmp_path):
                try:
                    samples[min(4 * step // STEPS, 3)].append(sample(run.pid))
                except (OSError, KeyError):  # it has just ended
                    break
            time.sleep(0.5)
        assert run.wait() == 0, pathlib.Path(errors.name).read_text()[-2000:]
    assert all(len(quarter) > 5 for quarter in samples.values()), samples
    second, last = (np.median(samples[quarter], axis=0) for quarter in (1, 3))
    assert last[0] - second[0] < ALLOWED_MB, samples
    assert last[1] <= second[1] + 2 and last[2] <= second[2] + 2, samples
