"""What a run needs, as it is said, against what is there; and running out of it."""

import contextlib
import importlib
import logging
import types

import jax
import pytest
from ml_collections import ConfigDict

from configs import default
from tests.helpers.command import SMALL, main
from tests.helpers.fake_loop import fake_step, loop_config
from tests.helpers.small import small_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.sources import tfds
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training import loop, memory
from ugatit_jax.training.dry_run import dry_run
from ugatit_jax.training.state import init_state


def bytes_of(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def test_parts_are_those_of_a_state():
    config = small_config(training__ema_decay=0.9)
    state = init_state(make_networks(config), config)
    parts = memory.state_bytes(state, StateSharding(make_mesh(1)))
    assert parts['weights'] == bytes_of((state.generator, state.discriminator))
    assert parts['optimizer'] == bytes_of((state.generator_opt, state.discriminator_opt))
    assert parts['averaged copy'] == bytes_of(state.ema) and parts['u and v'] == bytes_of(state.spectral)
    assert sum(parts.values()) == bytes_of(state)


def test_the_full_model_sharded_over_devices(caplog):
    config = default.get_config()
    config.model.mlp_pool, config.training.shard_params, config.data.batch_size = 'full', True, 4
    config = resolve(config)
    shapes = jax.eval_shape(lambda: init_state(make_networks(config), config))
    parts = memory.state_bytes(shapes, StateSharding(jax.sharding.AbstractMesh((4,), ('data',)), True))
    whole = 4 * 670_776_976
    assert whole / 4 < parts['weights'] < 0.26 * whole and parts['optimizer'] < 0.26 * 2 * whole
    with caplog.at_level(logging.INFO):
        memory.log_sizes(shapes, StateSharding(jax.sharding.AbstractMesh((4,), ('data',)), True))
    assert 'together 670,776,976' in caplog.text and 'train state on each of 4 devices: 2.0 GB' in caplog.text


def compiled_step(arguments: int, temporary: int):
    """What XLA says of a compiled step."""
    analysis = types.SimpleNamespace(argument_size_in_bytes=arguments, temp_size_in_bytes=temporary)
    return types.SimpleNamespace(memory_analysis=lambda: analysis, cost_analysis=lambda: {'flops': 1.96e12})


def test_what_the_compiled_step_needs_is_said_and_compared_with_the_device(monkeypatch, caplog):
    config = small_config(data__batch_size=4)
    state = init_state(make_networks(config), config)
    own = bytes_of(state)

    def said(limit):
        caplog.clear()
        monkeypatch.setattr(memory, 'memory_limit', lambda: limit)
        with caplog.at_level(logging.INFO):
            memory.log_memory(compiled_step(own + 10**6, 2 * 10**9), state, StateSharding(make_mesh(1)), config)
        return caplog.text

    text = said(None)
    assert (
        'memory of the device: 2.0 GB' in text
        and '1.96 TFLOP a step; 1,000,000 steps take 2.27 days at 10 TFLOP/s' in text
        and 'images 1.0 MB' in text
        and 'work space 2.0 GB' in text
    )
    assert 'will not fit' not in text and 'will not fit' not in said(3 * 10**9)
    text = said(10**9)
    assert 'a device has 1.0 GB, the step needs 2.0 GB: it will not fit' in text and 'training.remat=True' in text


def test_hints_are_settings_that_are_not_made_yet():
    hints = memory.hints(small_config(data__batch_size=8), 1)
    assert hints[0].startswith('training.accumulate=8') and len(hints) == 4
    sharded = memory.hints(small_config(data__batch_size=4, model__mlp_pool='full', training__shard_params=True), 4)
    assert not any(name in text for text in sharded for name in ('accumulate', 'shard_params'))
    assert any('model.mlp_pool=1' in text for text in sharded)
    made = memory.hints(small_config(training__remat=True, training__compute_dtype='bfloat16'), 1)
    assert not any('remat' in text or 'bfloat16' in text for text in made) and len(made) >= 3


@pytest.mark.parametrize(
    'error',
    [
        jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7516192768 bytes.'),
        MemoryError('Unable to allocate 8.00 GiB for an array'),
    ],
)
def test_out_of_memory_is_one_line_with_parts_and_settings(error, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(loop, 'open_datasets', fail)
    with pytest.raises(UserError) as raised:
        loop.train(ConfigDict(small_config()), str(tmp_path))
    message = str(raised.value)
    assert '\n' not in message and 'out of memory' in message and str(error).partition(' ')[0] in message
    assert all(part in message for part in ('weights', 'optimizer', 'hints: ', 'training.remat=True'))


def test_other_errors_are_left_alone():
    with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'), memory.explain_out_of_memory(small_config()):
        raise jax.errors.JaxRuntimeError('INTERNAL: something else')


def test_a_dry_run_compiles_and_leaves_the_workdir_alone(tmp_path):
    result = main(f'--workdir={tmp_path / "run"}', '--dry_run', *SMALL)
    assert result.returncode == 0 and not (tmp_path / 'run').exists(), result.stderr
    for text in ('train_A 200', 'parameters: genA2B', 'compiling the train step took', 'work space', 'dry run'):
        assert text in result.stderr, result.stderr
    wrong = default.get_config()
    wrong.data.source = f'folder:{tmp_path}/none'
    with pytest.raises(UserError, match='none'):
        dry_run(wrong, str(tmp_path / 'run'))
    wrong.data.source = 'tfds:no_such_set'
    with pytest.raises(UserError, match='no_such_set'):
        dry_run(wrong, str(tmp_path / 'run'))


def test_a_dry_run_refuses_what_the_run_would_not_start_from(tmp_path, monkeypatch, caplog):
    caplog.set_level('INFO')
    fake_step(monkeypatch)
    run = str(tmp_path / 'run')
    loop.train(loop_config(training__steps=4), run)
    module = importlib.import_module('ugatit_jax.training.dry_run')  # not the function of that name
    monkeypatch.setattr(module, 'compile_step', lambda *_: (None, []))
    dry_run(ConfigDict(loop_config(training__steps=8)), run)
    assert any('continues from step 4' in line for line in caplog.messages)
    dry_run(ConfigDict(loop_config(init_from=run)), str(tmp_path / 'new'))
    with pytest.raises(UserError, match='model.ch was 2, is 3'):
        dry_run(ConfigDict(loop_config(model__ch=3)), run)
    with pytest.raises(UserError, match='model.ch=2'):
        dry_run(ConfigDict(loop_config(init_from=run, model__ch=3)), str(tmp_path / 'new'))
    for fields, message in (
        (dict(training__keep_best='-domain_acuracy'), 'such as domain_accuracy'),
        (dict(training__keep_best='-domain_accuracy', evaluation__every=0), 'with evaluation.every=0'),
        (dict(data__device_resident=True, data__device_resident_mb=0.01), 'above data.device_resident_mb=0.01'),
    ):
        with pytest.raises(UserError, match=message):
            dry_run(ConfigDict(loop_config(**fields)), str(tmp_path / 'new'))
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('prepared', [True, False])
def test_a_dry_run_does_not_call_a_set_that_is_not_here_in_order(prepared, tmp_path, monkeypatch, caplog):
    caplog.set_level('INFO')
    builder = types.SimpleNamespace(is_prepared=lambda: prepared)
    monkeypatch.setattr(tfds, 'named_builder', lambda *_: builder)
    module = importlib.import_module('ugatit_jax.training.dry_run')  # not the function of that name
    monkeypatch.setattr(module, 'compile_step', lambda *_: (None, []))
    monkeypatch.setattr(memory, 'log_memory', lambda *_: None)
    config = small_config(data__source='tfds:cycle_gan/horse2zebra')
    dry_run(ConfigDict(config), str(tmp_path))
    assert ('settings and data source are in order' in caplog.messages[-1]) == prepared
    assert ('cycle_gan/horse2zebra was not checked, as it is not here' in caplog.messages[-1]) != prepared
    config = ConfigDict(small_config(data__source='tfds:cycle_gan/horse2zebra', data__download=False))
    with contextlib.nullcontext() if prepared else pytest.raises(UserError, match='data.download=False'):
        dry_run(config, str(tmp_path))


def test_a_state_larger_than_memory_is_refused_before_it_is_made(tmp_path, monkeypatch):
    config = small_config(training__steps=1)
    shapes = jax.eval_shape(lambda: init_state(make_networks(config), config))
    monkeypatch.setattr(memory, 'host_memory', lambda: bytes_of_shapes(shapes) - 1)
    with pytest.raises(
        UserError, match='^out of memory: the train state alone takes .* the device has .*; hints: '
    ) as error:
        loop.train(config, str(tmp_path / 'run'))
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()
    monkeypatch.setattr(memory, 'host_memory', lambda: bytes_of_shapes(shapes))
    memory.validate_size(shapes, StateSharding(make_mesh(1)), config)


def bytes_of_shapes(shapes):
    return sum(memory.state_bytes(shapes, StateSharding(make_mesh(1))).values())


def test_the_memory_of_this_machine():
    assert 2**28 < memory.host_memory() < 2**50
