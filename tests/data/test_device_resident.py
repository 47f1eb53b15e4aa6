"""The training set on the devices: batches equal to the pipeline's, and memory that is checked first."""

import itertools
import os
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from tests.helpers.image_files import make_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import device_resident, open_datasets, train_batches


@pytest.fixture
def datasets(tmp_path, config):
    make_folder(tmp_path / 'set', {'trainA': 7, 'trainB': 3})
    config.data.source = f'folder:{tmp_path / "set"}'
    config.data.batch_size = 4
    return open_datasets(config)


def test_batches_are_the_pipelines_bit_for_bit(datasets, config):
    resident = device_resident.load(datasets.train_A, datasets.train_B, config)
    assert (resident.A.shape, resident.B.shape) == ((7, 18, 18, 3), (3, 18, 18, 3))
    draw = jax.jit(lambda resident, step: device_resident.draw_batch(resident, step, 4, config.seed))
    batches = itertools.islice(train_batches(datasets.train_A, datasets.train_B, config, start_step=3), 6)
    for step, expected in enumerate(batches, start=3):
        got = draw(resident, step)
        for domain in 'AB':
            np.testing.assert_array_equal(got[domain], expected[domain])


class Device:
    def __init__(self, limit, used):
        self.statistics = {'bytes_limit': limit, 'bytes_in_use': used} if limit else None

    def memory_stats(self):
        return self.statistics

    def __str__(self):
        return 'GPU 0'


def test_memory_is_estimated_first_and_refused_with_the_numbers(datasets, config, monkeypatch):
    monkeypatch.setattr(device_resident, 'cached_images', lambda *_, **__: pytest.fail('read images'))
    config.data.device_resident_mb = 0.009  # 10 * 18 * 18 * 3 bytes are 0.0093 MB
    with pytest.raises(UserError, match=r'above data.device_resident_mb=0\.009'):
        device_resident.load(datasets.train_A, datasets.train_B, config)
    mega = 2**20
    device_resident.validate_memory(100 * mega, 100, [Device(200 * mega, 100 * mega), Device(0, 0)])
    with pytest.raises(UserError, match='take 100 MB, GPU 0 has 99 MB left'):
        device_resident.validate_memory(100 * mega, 100, [Device(0, 0), Device(200 * mega, 101 * mega)])


SCRIPT = """
    import sys
    for name in ('tensorflow', 'tensorflow_datasets', 'clu'):
        sys.modules[name] = None  # importing it raises
    import itertools, jax, numpy as np
    from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
    from configs import default
    from ugatit_jax.data import device_resident
    from ugatit_jax.data import open_datasets
    from ugatit_jax.data.augment import augment
    from ugatit_jax.data.pipeline import global_indices
    assert jax.device_count() == 4
    config = default.get_config()
    config.data.update(source='folder:' + sys.argv[1], image_size=16, batch_size=8)
    datasets = open_datasets(config)
    mesh = jax.make_mesh((4,), ('data',), axis_types=(AxisType.Auto,))
    everywhere, split = NamedSharding(mesh, P()), NamedSharding(mesh, P('data'))
    resident = device_resident.load(datasets.train_A, datasets.train_B, config, everywhere)

    def step(resident, k, rows=split):
        batch = device_resident.draw_batch(resident, k, 8, config.seed)
        batch = jax.lax.with_sharding_constraint(batch, rows)
        return batch, augment(batch, jax.random.fold_in(jax.random.key(0), k), image_size=16, translate=0.1)

    compiled = jax.jit(step, out_shardings=split).lower(resident, 5).compile()
    text = compiled.as_text()
    assert 'all-gather' not in text and 'all-to-all' not in text and 'all-reduce' not in text
    batch, real = compiled(resident, 5)
    rows = [int(global_indices(np.array([5 * 8 + r]), 7, config.seed, 'A')[0]) for r in range(8)]
    assert (np.asarray(batch['A']) == np.asarray(resident.A)[rows]).all()
    first = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    on_first = jax.device_put(jax.device_get(resident), first)
    one = jax.jit(lambda resident, k: step(resident, k, first))(on_first, 5)[1]
    for name in real:
        assert len(real[name].sharding.device_set) == 4
        assert (np.asarray(real[name]) == np.asarray(one[name])).all()
        shards = sorted(s.index[0].start or 0 for s in real[name].addressable_shards)
        assert shards == [0, 2, 4, 6], shards
    print('four devices agree with one')
"""


def test_four_devices_without_tensorflow(tmp_path):
    make_folder(tmp_path, {'trainA': 7, 'trainB': 3})
    environment = {**os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=4', 'JAX_PLATFORMS': 'cpu'}
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(SCRIPT), str(tmp_path)],
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert 'four devices agree with one' in done.stdout


def test_a_step_that_draws_three_times_reads_three_batches_in_both_paths(datasets, config):
    """Critics and separate batches: the draws follow one another in the order of the images."""
    resident = device_resident.load(datasets.train_A, datasets.train_B, config)
    ordinary = train_batches(datasets.train_A, datasets.train_B, config)
    copies = [{domain: batch[domain].copy() for domain in 'AB'} for batch in itertools.islice(ordinary, 6)]
    rows = {domain: np.concatenate([batch[domain] for batch in copies]) for domain in 'AB'}
    config.training.n_critic, config.training.separate_batches = 2, True
    batches = itertools.islice(train_batches(datasets.train_A, datasets.train_B, config), 2)
    halves = [train_batches(datasets.train_A, datasets.train_B, config, 1, process, 2) for process in range(2)]
    for step, batch in enumerate(batches):
        drawn = device_resident.draw_batch(resident, step, 12, config.seed)
        for domain in 'AB':
            np.testing.assert_array_equal(batch[domain], rows[domain][12 * step : 12 * (step + 1)])
            np.testing.assert_array_equal(batch[domain], drawn[domain])
    parts = [next(half) for half in halves]
    np.testing.assert_array_equal(np.concatenate([part['A'] for part in parts]), batch['A'])
