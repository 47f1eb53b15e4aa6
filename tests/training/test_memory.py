"""The estimate against what is there: arrays of a state, XLA's own count, and the order that settings make."""

import jax
import jax.numpy as jnp
import pytest

from configs import default
from tests.helpers.small import small_config
from tests.training.test_loop import SMALL, main
from ugatit_jax.config.resolve import resolve
from ugatit_jax.errors import UserError
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.dry_run import dry_run
from ugatit_jax.training.liveness import peak_bytes
from ugatit_jax.training.memory import Estimate, advice, describe, estimate, too_large
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step

ROW = 4 * 1024  # bytes of float32 [1024]


def size_of(tree):
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize(
    'function, rows',
    [
        (lambda x: jnp.sum(jnp.tanh(x) + 1), 0),  # elementwise into a sum: nothing but the number
        (lambda x: (x[:, None] @ x[None]) @ x, 1024),  # the product is held
        (
            lambda x: jax.lax.scan(lambda c, _: (c @ (x[:, None] @ x[None]), None), x, None, 5)[0],
            1024 + 2,
        ),  # once, not 5 times
        (lambda x: jnp.stack([x @ (x[:, None] @ x[None] * i) for i in range(3)]), 1024),  # one after another
    ],
)
def test_live_bytes_of_what_is_known(function, rows):
    peak = peak_bytes(jax.make_jaxpr(function)(jnp.zeros(1024)).jaxpr)
    assert rows * ROW - 64 <= peak <= (rows + 4) * ROW + 64


def test_exact_parts_are_those_of_a_state():
    config = small_config(training__ema_decay=0.9)
    state, size = init_state(make_networks(config), config), estimate(config)
    assert size.parameters['disLB'] == sum(leaf.size for leaf in jax.tree.leaves(state.discriminator['disLB']))
    assert size.parts['weights'] == size_of(state.generator) + size_of(state.discriminator)
    assert size.parts['optimiser'] == size_of(state.generator_opt) + size_of(state.discriminator_opt)
    assert size.parts['averaged copy'] == size_of(state.ema) == size.parts['gradients']
    assert size.parts['spectral vectors'] == size_of(state.spectral)


@pytest.mark.slow  # compiles two steps
def test_temporary_memory_is_within_a_third_of_what_xla_says():
    # not smaller: at 32 pixels and ch 2 what convolutions on a CPU need beside their maps is most of it
    config = small_config(data__image_size=64, model__ch=4)
    networks = make_networks(config)
    shapes = jax.eval_shape(lambda: init_state(networks, config))
    batch = {f'real_{domain}': jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32) for domain in 'AB'}
    compiled = jax.jit(make_train_step(networks, config), donate_argnums=0).lower(shapes, batch).compile()
    size = estimate(config)
    ours, theirs = size.parts['activations'] + size.parts['gradients'], compiled.memory_analysis().temp_size_in_bytes
    assert 0.67 < ours / theirs < 1.5, (ours, theirs)


def test_the_full_model_over_devices():
    config = default.get_config()
    config.model.mlp_pool, config.training.shard_params, config.data.batch_size = 'full', True, 4
    pieces = estimate(resolve(config), 4)
    assert sum(pieces.parameters.values()) == 670_776_976
    whole = 4 * 670_776_976
    assert whole / 4 < pieces.parts['weights'] < 0.26 * whole and pieces.parts['optimiser'] < 0.26 * 2 * whole
    assert 'each of 4 devices' in describe(pieces)[1] and '670,776,976' in describe(pieces)[0]


@pytest.mark.slow  # traces four steps
def test_settings_that_save_activations_save_them():
    def activations(**fields):
        return estimate(small_config(data__batch_size=4, **fields)).parts['activations']

    plain = activations()
    assert activations(training__accumulate=4) < 0.5 * plain
    assert activations(training__remat=True) < 0.9 * plain
    assert estimate(small_config(data__batch_size=4), 4).parts['activations'] < 0.5 * plain


def test_advice_follows_what_is_largest():
    def advise(activations, states, devices=1, **fields):
        parts = {name: states for name in ('weights', 'gradients', 'optimiser', 'averaged copy')}
        return advice(
            Estimate({}, parts | {'activations': activations, 'images': 0}, devices, states // 2), small_config(**fields)
        )

    images = advise(10**9, 10**6, data__batch_size=8)
    assert images[0].startswith('training.accumulate=8') and len(images) == 4
    matrix = advise(10**6, 10**9, 4, data__batch_size=4, model__mlp_pool='full')
    assert matrix[0].startswith('training.shard_params=True') and any('model.mlp_pool=1' in text for text in matrix)
    assert not any(
        'remat' in text or 'bfloat16' in text
        for text in advise(10**9, 1, training__remat=True, training__compute_dtype='bfloat16')
    )
    size = Estimate({}, {'activations': 3 * 10**9, 'weights': 0, 'gradients': 0, 'optimiser': 0, 'averaged copy': 0}, 1, 0)
    warning = too_large(size, small_config(), 2 * 10**9)
    assert 'has 2.0 GB, the estimate is 3.0 GB' in warning and 'training.remat=True' in warning
    assert too_large(size, small_config(), 4 * 10**9) == too_large(size, small_config(), None) == ''


def test_a_dry_run_ends_before_anything_is_made(tmp_path):
    result = main(f'--workdir={tmp_path / "run"}', '--dry_run', *SMALL)
    assert result.returncode == 0 and not (tmp_path / 'run').exists(), result.stderr
    assert 'parameters: genA2B' in result.stderr and 'activations' in result.stderr and 'compiling' not in result.stderr
    wrong = default.get_config()
    wrong.data.source = f'folder:{tmp_path}/none'
    with pytest.raises(UserError, match='none'):
        dry_run(wrong, str(tmp_path / 'run'))
    wrong.data.source = 'tfds:no_such_set'
    with pytest.raises(UserError, match='no_such_set'):
        dry_run(wrong, str(tmp_path / 'run'))
