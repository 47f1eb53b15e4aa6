"""One run in a workdir at a time, and runs that meet a damaged checkpoint or what a killed process left."""

import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from tests.helpers.command import LONG, Run, main, metrics_of
from tests.helpers.damage import files_below, flip_bit, largest_file
from tests.helpers.fake_loop import fake_step, loop_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common import files
from ugatit_jax.common.errors import UserError
from ugatit_jax.report import history
from ugatit_jax.training import workdir as module
from ugatit_jax.training.lease import NAME, Lease
from ugatit_jax.training.loop import train


def test_a_workdir_that_is_held_is_refused_and_left_alone(tmp_path, monkeypatch):
    fake_step(monkeypatch)
    with Lease(str(tmp_path)):
        with pytest.raises(UserError, match=f'{tmp_path}: training by process {os.getpid()} on'):
            train(loop_config(), str(tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    train(loop_config(), str(tmp_path))
    assert not (tmp_path / NAME).exists()


def test_a_run_whose_lease_was_taken_ends(tmp_path, monkeypatch):
    fake_step(monkeypatch)
    monkeypatch.setattr(
        Lease, 'validate', lambda self: setattr(self, 'lost', 'x') or (_ for _ in ()).throw(UserError('lost'))
    )
    with pytest.raises(UserError, match='lost'):
        train(loop_config(), str(tmp_path))
    assert Checkpoints(str(tmp_path)).latest() is None


def test_the_other_processes_of_a_refused_run_leave_too(tmp_path, monkeypatch):
    monkeypatch.setattr('jax.process_index', lambda: 1)
    monkeypatch.setattr('jax.process_count', lambda: 2)
    monkeypatch.setattr(module.multihost_utils, 'broadcast_one_to_all', lambda refused: np.asarray(True))
    with pytest.raises(UserError, match='held by another run'), module.hold_workdir(str(tmp_path)):
        pass
    monkeypatch.setattr(module.multihost_utils, 'broadcast_one_to_all', lambda refused: refused)
    with module.hold_workdir(str(tmp_path)) as lease:
        assert lease is None and not list(tmp_path.iterdir())


@pytest.mark.slow  # three processes; test_lease.py has the same without a train step
def test_two_trainings_in_one_workdir(tmp_path):
    """In processes of their own; the second writes nothing, and where the first is killed it can start at once."""
    first = Run(tmp_path, *LONG)
    first.wait_for('step 6/')
    first.process.send_signal(signal.SIGSTOP)  # alive, and still where it is
    before = files_below(tmp_path)
    second = main(f'--workdir={tmp_path}', *LONG)
    lines = [line for line in second.stderr.splitlines() if line.startswith('ugatit_jax: ')]
    assert second.returncode == 2 and len(lines) == 1 and 'Traceback' not in second.stderr, second.stderr
    assert f'training by process {first.process.pid} on {os.uname().nodename} since 20' in lines[0]
    assert files_below(tmp_path) == before
    first.end(signal.SIGKILL)
    assert (tmp_path / NAME).exists()
    third = main(f'--workdir={tmp_path}', *LONG)
    assert third.returncode == 0 and 'waiting' not in third.stderr, third.stderr
    assert [row['step'] for row in metrics_of(tmp_path)] == list(range(1, 41))
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize('damage', ['flipped', 'truncated'])
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path, monkeypatch, caplog, damage):
    fake_step(monkeypatch)
    train(loop_config(), str(tmp_path))
    path = largest_file(tmp_path / 'checkpoints' / '12' / 'training')
    flip_bit(path, path.stat().st_size // 2) if damage == 'flipped' else os.truncate(path, 0)
    caplog.clear()
    state = train(loop_config(training__steps=15), str(tmp_path))
    assert int(state.step) == 15 and [row['step'] for row in metrics_of(tmp_path)] == [3, 6, 9, 12, 15]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == 'WARNING']
    told = [line for line in warnings if 'renamed to 12.damaged, the run continues from step 8' in line]
    assert len(told) == 1 and len([line for line in warnings if 'damaged' in line]) == 1
    events = history.read(str(tmp_path))
    assert [event['event'] for event in events] == ['started', 'finished', 'resumed', 'went back', 'finished']
    assert events[3]['to'] == 8 and events[3]['reason'] == told[0]
    assert sorted(path.name for path in (tmp_path / 'checkpoints').iterdir()) == ['12', '12.damaged', '15', '8']


def test_a_rollback_passes_over_a_damaged_checkpoint(tmp_path, monkeypatch):
    """NaN at step 11, and the checkpoint of step 8 is damaged by then: back to that of step 4."""
    save = Checkpoints.save

    def save_and_damage(self, step, *arguments):
        save(self, step, *arguments)
        if step == 8 and not (tmp_path / 'checkpoints' / '8.damaged').exists():
            self.latest()  # waits
            os.truncate(largest_file(tmp_path / 'checkpoints' / '8' / 'training'), 10)

    monkeypatch.setattr(Checkpoints, 'save', save_and_damage)
    fake_step(monkeypatch, bad_step=11, bad_keys=[jax.random.key_data(jax.random.key(0)).tolist()])
    assert int(train(loop_config(training__on_nan='restore'), str(tmp_path)).step) == 12
    event = history.read(str(tmp_path))[1]
    assert event['event'] == 'went back' and event['to'] == 4 and 'renamed to 8.damaged' in event['reason']
    assert sorted(path.name for path in (tmp_path / 'checkpoints').iterdir()) == ['12', '4', '8', '8.damaged']


LEFT = """
import os, pathlib, signal, sys
from ugatit_jax.common.files import atomic_file, atomic_write_text
from etils import epath
with atomic_file(sys.argv[1] + '/metrics.jsonl'):
    class Dying(type(epath.Path())):
        def replace(self, target):
            os.kill(os.getpid(), signal.SIGKILL)
    atomic_write_text(Dying(sys.argv[1]) / 'report.html', 'x')
"""


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    subprocess.run([sys.executable, '-c', LEFT, str(tmp_path)], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    other = tmp_path / files.partial_name().replace(module.Lease(str(tmp_path)).content()['machine'], 'f' * 16)
    mine = tmp_path / files.partial_name()
    for path in (other, mine, tmp_path / '.keep.partial'):
        path.touch()
    with module.hold_workdir(str(tmp_path)):
        pass
    assert set(tmp_path.iterdir()) == {other, mine, tmp_path / '.keep.partial'}
