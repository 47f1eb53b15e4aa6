"""Checkpoints of a workdir: what is removed, and what is refused."""

import time

import pytest

from ugatit_jax.checkpoint.checkpoints import Checkpoints, storage_reason
from ugatit_jax.errors import UserError


def test_only_the_run_itself_removes_what_a_killed_save_left(tmp_path):
    left = tmp_path / 'checkpoints' / '7.orbax-checkpoint-tmp'
    left.mkdir(parents=True)
    Checkpoints(str(tmp_path)).close()
    assert left.exists()
    Checkpoints(str(tmp_path), clean=True).close()
    waited = 0.0
    while left.exists() and waited < 20:  # a thread of Orbax's does it, for which the next save waits
        time.sleep(0.1)
        waited += 0.1
    assert not left.exists()


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / 'checkpoints' / '5' / 'config').mkdir(parents=True)
    with pytest.raises(UserError, match='5: not a checkpoint of ugatit_jax'):
        Checkpoints(str(tmp_path)).read_config(5)


def test_the_reason_of_a_failed_write_is_short():
    long = 'Error opening "zarr" driver: no space left on device [specification: {"driver": "zarr"}]'
    assert storage_reason(RuntimeError(long)) == 'No space left on device'
    assert storage_reason(ValueError('x' * 500 + '\nmore')) == 'x' * 200
