"""Checkpoints of a workdir: what is removed, and what is refused."""

import time

import numpy as np
import pytest

from ugatit_jax.checkpoint.checkpoints import Checkpoints, storage_reason
from ugatit_jax.common.errors import UserError


def test_only_the_run_itself_removes_what_a_killed_save_left(tmp_path):
    left = tmp_path / 'checkpoints' / '7.orbax-checkpoint-tmp'
    left.mkdir(parents=True)
    for clean in (False, True):
        assert left.exists()
        with Checkpoints(str(tmp_path), clean=clean) as checkpoints:
            assert checkpoints.latest() is None
            checkpoints.write(1, {}, generators={'raw': {'genA2B': np.zeros(2)}})
            assert checkpoints.latest() == 1  # waits for the save
            checkpoints.manager.delete(1)
    waited = 0.0
    while left.exists() and waited < 20:  # a thread of Orbax's does it, for which the next save waits
        time.sleep(0.1)
        waited += 0.1
    assert not left.exists()


def test_a_path_that_no_storage_has_is_refused():
    with pytest.raises(UserError, match='bytes that are not UTF-8'):
        Checkpoints('/tmp/a\udcff')


def test_a_bucket_is_a_url_and_no_local_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(Checkpoints('gs://bucket/run').directory) == 'gs://bucket/run/checkpoints'


def test_on_a_bucket_a_checkpoint_is_there_when_it_is_committed(tmp_path, monkeypatch):
    monkeypatch.setattr('ugatit_jax.checkpoint.checkpoints.is_remote', lambda path: True)
    for name in ('3', '5', '5.damaged', '6.orbax-checkpoint-tmp'):
        (tmp_path / 'checkpoints' / name).mkdir(parents=True)
    (tmp_path / 'checkpoints' / '3' / 'commit_success.txt').touch()
    assert Checkpoints(str(tmp_path)).steps() == [3]


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / 'checkpoints' / '5' / 'config').mkdir(parents=True)
    with pytest.raises(UserError, match='5: not a checkpoint of ugatit_jax'):
        Checkpoints(str(tmp_path)).read_config(5)


def test_the_reason_of_a_failed_write_is_short():
    long = 'Error opening "zarr" driver: no space left on device [specification: {"driver": "zarr"}]'
    assert storage_reason(RuntimeError(long)) == 'No space left on device'
    assert storage_reason(ValueError('x' * 500 + '\nmore')) == 'x' * 200
