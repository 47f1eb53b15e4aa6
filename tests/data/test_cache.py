"""Decoded images in memory or in a file, and files that are damaged."""

import concurrent.futures
import errno
import os
import shutil
import threading
import time

import numpy as np
import pytest

from tests.helpers.image_files import make_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import cache, open_datasets


@pytest.fixture
def opened(tmp_path, config):
    make_folder(tmp_path / 'set', {'trainA': 4, 'trainB': 3})
    config.data.source = f'folder:{tmp_path / "set"}'
    datasets = open_datasets(config)
    return {'A': datasets.train_A, 'B': datasets.train_B}, config


def reads(sources, config, monkeypatch):
    """Reads all images and returns them and how many were decoded."""
    count = []
    original = cache.load_image
    monkeypatch.setattr(cache, 'load_image', lambda *arguments: count.append(1) or original(*arguments))
    images = cache.cached_images(sources, 18, config)
    out = [np.array(images[domain][i]) for _ in range(2) for domain in 'AB' for i in range(len(images[domain]))]
    monkeypatch.setattr(cache, 'load_image', original)
    return out[:7], len(count)


def test_budget_decides_between_memory_and_decoding(opened, monkeypatch, caplog):
    sources, config = opened
    needed = 7 * 18 * 18 * 3 / 2**20
    with caplog.at_level('INFO'):
        config.data.cache_mb = needed
        kept, count = reads(sources, config, monkeypatch)
        assert count == 7
        config.data.cache_mb = needed * 0.99
        again, count = reads(sources, config, monkeypatch)
        assert count == 14
    assert 'kept in memory' in caplog.text
    assert 'decoded again each epoch' in caplog.text
    np.testing.assert_array_equal(kept, again)


def test_file_is_shared_by_runs_and_not_with_other_pixels(opened, monkeypatch, tmp_path):
    sources, config = opened
    config.data.cache_dir = str(tmp_path / 'images')
    first, count = reads(sources, config, monkeypatch)
    assert count == 7
    again, count = reads(sources, config, monkeypatch)
    assert count == 0
    np.testing.assert_array_equal(first, again)
    config.data.fit = 'pad'
    assert reads(sources, config, monkeypatch)[1] == 7
    config.data.background = (0, 0, 0)
    assert reads(sources, config, monkeypatch)[1] == 7
    config.data.update(fit='stretch', background=(255, 255, 255))
    os.utime(tmp_path / 'set' / 'trainA' / '000.png', ns=(1, 1))
    datasets = open_datasets(config)
    assert reads({'A': datasets.train_A, 'B': datasets.train_B}, config, monkeypatch)[1] == 4  # all of A, which changed


def test_damaged_rows_are_decoded_again(opened, monkeypatch, tmp_path):
    sources, config = opened
    config.data.cache_dir = str(tmp_path / 'images')
    first, _ = reads(sources, config, monkeypatch)
    for path in (tmp_path / 'images').iterdir():
        data = bytearray(path.read_bytes())
        data[100] ^= 255
        path.write_bytes(data)
    again, count = reads(sources, config, monkeypatch)
    assert count == 2
    np.testing.assert_array_equal(first, again)


def test_runs_that_share_a_file_at_the_same_time(opened, tmp_path, monkeypatch):
    """All begin with no file, and read and write the same rows."""
    allocate = cache.allocate
    monkeypatch.setattr(cache, 'allocate', lambda *arguments: time.sleep(0.05) or allocate(*arguments))
    sources, config = opened
    plain = [images[i] for images in cache.cached_images(sources, 18, config).values() for i in range(len(images))]
    config.data.cache_dir = str(tmp_path / 'images')
    barrier = threading.Barrier(8)

    def run(_):
        barrier.wait()
        images = cache.cached_images(sources, 18, config)
        return [np.array(images[domain][i]) for domain in 'AB' for i in range(len(images[domain]))]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for found in pool.map(run, range(8)):
            np.testing.assert_array_equal(found, plain)
    assert len(list((tmp_path / 'images').iterdir())) == 2  # and nothing incomplete


def test_a_file_of_another_size_is_not_touched(opened, monkeypatch, tmp_path):
    sources, config = opened
    config.data.cache_dir = str(tmp_path / 'images')
    reads(sources, config, monkeypatch)
    path = next((tmp_path / 'images').iterdir())
    path.write_bytes(b'mine')
    with pytest.raises(UserError, match='4 bytes instead of .* delete it'):
        cache.cached_images(sources, 18, config)
    assert path.read_bytes() == b'mine'


def test_no_room_and_no_folder_are_user_errors(opened, monkeypatch, tmp_path):
    sources, config = opened
    config.data.cache_dir = str(tmp_path / 'images')
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, 'disk_usage', lambda _: usage._replace(free=100))
        with pytest.raises(UserError, match='MB are needed, 0 MB are free'):
            cache.cached_images(sources, 18, config)
    (tmp_path / 'file').write_text('mine')
    config.data.cache_dir = str(tmp_path / 'file')
    with pytest.raises(UserError, match='data.cache_dir'):
        cache.cached_images(sources, 18, config)
    assert (tmp_path / 'file').read_text() == 'mine'


def test_a_disk_that_fills_up_is_a_user_error_and_leaves_nothing(opened, monkeypatch, tmp_path):
    def fail(file, size):
        file.write(bytes(size // 2))
        raise OSError(errno.ENOSPC, 'No space left on device')

    sources, config = opened
    config.data.cache_dir = str(tmp_path / 'images')
    monkeypatch.setattr(cache, 'allocate', fail)
    with pytest.raises(UserError, match='data.cache_dir=.*No space left on device; 0 MB are needed there'):
        cache.cached_images(sources, 18, config)
    assert list((tmp_path / 'images').iterdir()) == []
