"""What the compiled step takes from the host, and the images it makes of it."""

import itertools

import jax
import numpy as np

from tests.helpers.small import small_config
from ugatit_jax.common.sharding import make_mesh
from ugatit_jax.data import open_datasets
from ugatit_jax.data.device_resident import ResidentImages
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training import inputs
from ugatit_jax.training.inputs import abstract_input, open_inputs, step_images
from ugatit_jax.training.state import init_state


def batches(config, count: int, first_step: int = 0) -> list[dict]:
    """The first inputs of a run, on the host."""
    opened = open_inputs(open_datasets(config), config, make_mesh(config.data.batch_size))
    return [jax.device_get(batch) for batch in itertools.islice(opened(first_step), count)]


def test_every_process_reads_its_own_rows(monkeypatch):
    config = small_config(data__batch_size=4)
    whole = batches(config, 2)
    monkeypatch.setattr(inputs, 'shard_batch', lambda batch, mesh: batch)
    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    for index in range(2):
        monkeypatch.setattr(jax, 'process_index', lambda index=index: index)
        for step, part in enumerate(batches(config, 2)):
            for domain in 'AB':
                np.testing.assert_array_equal(part[domain], whole[step][domain][2 * index : 2 * index + 2])


def test_the_inputs_of_a_step_do_not_depend_on_where_the_run_began():
    config = small_config()
    late, early = batches(config, 1, first_step=3)[0], batches(config, 4)[3]
    assert all((late[domain] == early[domain]).all() for domain in 'AB')


def test_crops_differ_from_step_to_step_and_follow_from_it():
    config = small_config()
    state, mesh = init_state(make_networks(config), config), make_mesh(1)
    batch = batches(config, 1)[0]
    images = jax.jit(lambda batch, state: step_images(batch, state, config, mesh))
    first, second, again = (jax.device_get(images(batch, state.replace(step=jax.numpy.int32(step)))) for step in (0, 1, 0))
    for domain in 'AB':
        assert first[domain].shape == (2, 32, 32, 3) and abs(first[domain]).max() <= 1
        np.testing.assert_array_equal(first[domain], again[domain])
        assert not np.array_equal(first[domain], second[domain])


def test_abstract_inputs_are_the_shapes_of_the_real_ones():
    for fields in ({}, {'data__device_resident': True}, {'training__n_critic': 2}):
        config = small_config(data__batch_size=2, **fields)
        datasets, mesh = open_datasets(config), make_mesh(2)
        real = next(open_inputs(datasets, config, mesh)(0))
        abstract = abstract_input(config, mesh, (len(datasets.train_A), len(datasets.train_B)))
        assert isinstance(real, ResidentImages) == bool(fields.get('data__device_resident'))
        assert jax.tree.structure(real) == jax.tree.structure(abstract)
        for x, shape in zip(jax.tree.leaves(real), jax.tree.leaves(abstract), strict=True):
            assert (x.shape, x.dtype, x.sharding) == (shape.shape, shape.dtype, shape.sharding)
