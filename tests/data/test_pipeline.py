"""Batches of a step: the same wherever the run began and however many processes share them."""

import itertools
import subprocess
import sys
import textwrap
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tests.helpers.image_files import make_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import cache, open_datasets, pipeline, train_batches
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.sources.folder import FolderSource
from ugatit_jax.data.sources.open_source import Selected
from ugatit_jax.data.sources.synthetic import Synthetic


def rows_of(step, batch, process, processes):
    local = pipeline.local_batch_size(batch, processes)
    return step * batch + process * local + np.arange(local)


@hypothesis.given(
    n_A=st.integers(1, 40),
    n_B=st.integers(1, 40),
    seed=st.integers(0, 9),
    batch=st.sampled_from([4, 8, 12]),
    processes=st.sampled_from([1, 2, 4]),
    start=st.integers(0, 30),
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_processes_share_out_the_global_batch_and_epochs_are_complete(n_A, n_B, seed, batch, processes, start):
    for domain, n in (('A', n_A), ('B', n_B)):
        for step in (start, start + 1):
            whole = pipeline.global_indices(rows_of(step, batch, 0, 1), n, seed, domain)
            parts = [pipeline.global_indices(rows_of(step, batch, p, processes), n, seed, domain) for p in range(processes)]
            np.testing.assert_array_equal(np.concatenate(parts), whole)
        # An epoch need not begin with a batch: take the steps that cover one, and count its n examples.
        epoch = start * batch // n + 1
        steps = range(epoch * n // batch, ((epoch + 1) * n - 1) // batch + 1)
        seen = np.concatenate(
            [
                pipeline.global_indices(rows_of(s, batch, p, processes), n, seed, domain)
                for s in steps
                for p in range(processes)
            ]
        )
        offset = epoch * n - steps[0] * batch
        np.testing.assert_array_equal(np.sort(seen[offset : offset + n]), np.arange(n))


def test_a_process_opens_no_image_of_another(tmp_path, config, monkeypatch):
    """In an epoch, as far as it reads ahead."""
    count, steps = 64, 16
    config.data.batch_size, opened = 4, set()
    read_bytes = FolderSource._read_bytes
    monkeypatch.setattr(FolderSource, '_read_bytes', lambda self, i: opened.add((self.root, i)) or read_bytes(self, i))
    for process in range(2):
        # a folder for each: threads of the first one's pipeline may read an image more while the second one runs
        folder = str(make_folder(tmp_path / f'process{process}', {'trainA': count, 'trainB': count}))
        config.data.source = f'folder:{folder}'
        datasets = open_datasets(config)
        opened.clear()  # it reads every file once
        next(train_batches(datasets.train_A, datasets.train_B, config, process_index=process, process_count=2))
        own = {
            (domain, int(i))
            for domain in 'AB'
            for step in range(steps)
            for i in pipeline.global_indices(rows_of(step, 4, process, 2), count, config.seed, domain)
        }
        read = {(root[-1], i) for root, i in opened if root.startswith(folder)}
        assert len(own) == count and read and read <= own


def test_domains_are_shuffled_apart():
    positions = np.arange(200)
    assert (pipeline.global_indices(positions, 200, 0, 'A') == pipeline.global_indices(positions, 200, 0, 'B')).sum() < 12


def take(datasets, config, count, **options):
    return list(itertools.islice(train_batches(datasets.train_A, datasets.train_B, config, **options), count))


@pytest.fixture
def folder_config(tmp_path, config):
    """Unequal numbers, one smaller than the batch."""
    make_folder(tmp_path / 'set', {'trainA': 7, 'trainB': 3})
    config.data.source = f'folder:{tmp_path / "set"}'
    config.data.batch_size = 4
    return config


def test_same_batches_continuous_resumed_and_split(folder_config):
    config = folder_config
    datasets = open_datasets(config)
    whole = take(datasets, config, 8)
    assert whole[0]['A'].shape == (4, 18, 18, 3)
    assert whole[0]['A'].dtype == np.uint8
    for step, domain in itertools.product((0, 5), 'AB'):
        source = getattr(datasets, f'train_{domain}')
        rows = pipeline.global_indices(rows_of(step, 4, 0, 1), len(source), config.seed, domain)
        np.testing.assert_array_equal(whole[step][domain], [fit_square(source.read(i), 18) for i in rows])
    for k, batch in enumerate(take(datasets, config, 3, start_step=5)):
        for domain in 'AB':
            np.testing.assert_array_equal(batch[domain], whole[5 + k][domain])
    for processes in (2, 4):
        parts = [take(datasets, config, 4, start_step=2, process_index=p, process_count=processes) for p in range(processes)]
        for k in range(4):
            for domain in 'AB':
                together = np.concatenate([part[k][domain] for part in parts])
                np.testing.assert_array_equal(together, whole[2 + k][domain])
    config.seed += 1
    assert any((batch['A'] != other['A']).any() for batch, other in zip(take(datasets, config, 8), whole, strict=True))


@pytest.mark.parametrize('settings', [{'cache_mb': 0.0}, {'cache_dir': True}, {'workers': 3}])
def test_caches_and_threads_change_nothing(folder_config, tmp_path, settings):
    config = folder_config
    datasets = open_datasets(config)
    expected = take(datasets, config, 6)
    if 'cache_dir' in settings:
        settings = {'cache_dir': str(tmp_path / 'images')}
    config.data.update(settings)
    for _ in range(2):  # the second time from a file that is full
        for batch, other in zip(take(datasets, config, 6), expected, strict=True):
            for domain in 'AB':
                np.testing.assert_array_equal(batch[domain], other[domain])


def test_a_full_cache_file_reads_no_images(folder_config, tmp_path, monkeypatch):
    config = folder_config
    config.data.cache_dir = str(tmp_path / 'images')
    datasets = open_datasets(config)
    expected = take(datasets, config, 8)
    monkeypatch.setattr(cache, 'load_image', lambda *_: pytest.fail('read an image'))
    assert (take(datasets, config, 8)[-1]['A'] == expected[-1]['A']).all()


class Slow:
    """Every other image takes its time, so that threads finish out of order."""

    def __init__(self, source):
        self.name, self.keys, self._source = source.name, source.keys, source

    def __len__(self):
        return len(self._source)

    def read(self, i):
        time.sleep(0.02 * (i % 2))
        return self._source.read(i)


def test_order_does_not_depend_on_which_image_is_ready_first(folder_config):
    folder_config.data.update(workers=6, cache_mb=0.0)
    datasets = open_datasets(folder_config)
    expected = take(datasets, folder_config, 12)
    batches = train_batches(Slow(datasets.train_A), Slow(datasets.train_B), folder_config)
    for batch, other in zip(batches, expected):
        np.testing.assert_array_equal(batch['A'], other['A'])


def test_chunks_of_indices_join(folder_config, monkeypatch):
    datasets = open_datasets(folder_config)
    expected = take(datasets, folder_config, 9)
    monkeypatch.setattr(pipeline, 'INDEX_CHUNK', 10)  # two steps and a half
    for batch, other in zip(take(datasets, folder_config, 9), expected, strict=True):
        np.testing.assert_array_equal(batch['B'], other['B'])


def test_a_batch_that_does_not_divide_is_refused_with_both_numbers(config):
    with pytest.raises(UserError, match=r'batch_size=2 does not divide over 3'):
        train_batches(Synthetic('A', 'train', 18), Synthetic('B', 'train', 18), config, process_count=3)


def test_an_image_that_vanished_raises_its_own_error(folder_config, tmp_path):
    datasets = open_datasets(folder_config)
    for path in (tmp_path / 'set' / 'trainA').iterdir():
        path.unlink()
    with pytest.raises(UserError, match='cannot be read any more'):
        take(datasets, folder_config, 1)


def test_neither_leaving_nor_exiting_hangs(folder_config):
    """With slow images under way, in a process of its own."""
    script = """
        import time
        from configs import default
        from ugatit_jax.data import train_batches
        from ugatit_jax.data.sources.synthetic import Synthetic

        class Slow(Synthetic):
            def read(self, i):
                time.sleep(0.05)
                return super().read(i)

        config = default.get_config()
        config.data.update(image_size=16, load_size=18, batch_size=8, cache_mb=0.0)
        pair = [Slow(domain, 'train', 18) for domain in 'AB']
        for _ in zip(range(2), train_batches(*pair, config)):
            pass
        batches = train_batches(*pair, config)
        print(next(batches)['A'].shape)
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script)], text=True, capture_output=True, timeout=60, check=False
    )
    assert done.stdout == '(8, 18, 18, 3)\n', done.stderr
    assert 'ignored' not in done.stderr  # an exception in a generator that is collected at the exit


def test_without_tensorflow_the_hint_is_device_resident(config, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow', None)
    with pytest.raises(UserError, match='data.device_resident=True'):
        train_batches(Synthetic('A', 'train', 18), Synthetic('B', 'train', 18), config)


def test_the_end_of_the_defined_order_is_refused():
    assert len(pipeline.global_indices(np.array([2**32 - 1]), 10, 0, 'A')) == 1
    with pytest.raises(UserError, match='below 4,294,967,296'):
        pipeline.global_indices(np.array([2**32]), 10, 0, 'A')


def test_prefetch_keeps_order_and_runs_ahead():
    started = []
    results = pipeline.prefetch(iter(range(5)), lambda batch: started.append(batch) or batch, depth=2)
    assert next(results) == 0
    assert started == [0, 1, 2]
    assert list(results) == [1, 2, 3, 4]


def test_one_image_per_domain(config):
    one = {domain: Selected(Synthetic(domain, 'train', 18), [0]) for domain in 'AB'}
    batch = next(train_batches(one['A'], one['B'], config))
    assert (batch['A'][0] == batch['A'][1]).all()
