"""Laws of the train step that goldens do not show."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from tests.conftest import ROOT
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.objectives import pair, unpair
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import clip_rho, make_train_step


def tiny(**fields):
    """A config that compiles in seconds."""
    config = default.get_config()
    config.data.image_size, config.model.n_layers_global, config.model.n_layers_local = 32, 4, 3
    config.model.ch, config.model.n_res = 2, 1
    for name, value in fields.items():
        group, field = name.split('__')
        config[group][field] = value
    return resolve(config)


def batch_of(config, seed: int, size: int = 2) -> dict[str, jax.Array]:
    side, rng = config.data.image_size, np.random.default_rng(seed)
    return {
        f'real_{d}': jnp.asarray(rng.uniform(-1, 1, (size, side, side, config.data[f'channels_{d}'])), jnp.float32)
        for d in 'AB'
    }


def run(config, steps: int = 2, size: int = 2):
    networks = make_networks(config)
    state, train_step = init_state(networks, config), jax.jit(make_train_step(networks, config))
    for k in range(steps):
        state, metrics = train_step(state, batch_of(config, k, size))
    return state, jax.device_get(metrics)


def test_pair_and_unpair():
    a, b = jnp.arange(6.0).reshape(3, 2), -jnp.arange(6.0).reshape(3, 2)
    assert pair(a, b)[:, 1].tolist() == [1, -1, 3, -3, 5, -5]
    for x, y in zip(unpair(pair(a, b)), (a, b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_rho_is_clipped_wherever_it_is():
    up = {'rho': jnp.array([1.2]), 'gamma': jnp.array([1.2])}
    params = {'decoder': {'norm_0': {'rho': jnp.array([-0.1, 0.5])}}, 'up_norm_0': up}
    clipped = clip_rho(params)
    assert clipped['decoder']['norm_0']['rho'].tolist() == [0, 0.5]
    assert clipped['up_norm_0']['rho'].tolist() == [1] and clipped['up_norm_0']['gamma'] == params['up_norm_0']['gamma']


def test_rho_stays_in_the_unit_interval_under_a_wild_rate_and_the_average_follows():
    config = tiny(optimizer__learning_rate=0.3, training__ema_decay=0.75)
    start = init_state(make_networks(config), config)
    state, _ = run(config, steps=1)
    rhos = [leaf for path, leaf in jax.tree.leaves_with_path(state.generator) if path[-1].key == 'rho']
    assert len(rhos) == 2 * 4 and all(0 <= rho.min() and rho.max() <= 1 for rho in rhos)
    assert any((rho == 1).any() for rho in rhos) and any((rho == 0).any() for rho in rhos)
    for old, new, mean in zip(*(jax.tree.leaves(x) for x in (start.generator, state.generator, state.ema)), strict=True):
        np.testing.assert_allclose(mean, 0.75 * old + 0.25 * new, atol=1e-5)


@pytest.mark.parametrize('backend, platform', [('gpu', 'cuda'), ('tpu', 'tpu')])
def test_a_step_lowers_for_accelerators_without_what_is_for_cpus(backend, platform, as_on):
    as_on(backend)
    config = tiny(training__compute_dtype='bfloat16', model__n_res=2)
    networks = make_networks(config)
    assert networks.genA2B.unroll == (2 if backend == 'gpu' else 1)
    assert make_networks(tiny(training__scan_blocks=True, model__n_res=2)).genA2B.unroll == 1
    state = jax.eval_shape(lambda: init_state(networks, config))
    traced = jax.jit(make_train_step(networks, config)).trace(state, batch_of(config, 0))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    convolutions = [line for line in text.splitlines() if 'stablehlo.convolution(' in line]
    assert len(convolutions) > 50 and all(line.endswith('xbf16>') for line in convolutions)
    assert 'stablehlo.case' not in text and 'stablehlo.if' not in text  # what orders a CPU's program
    assert text.count('optimization_barrier') > 90 and ('@LayoutConstraint' in text) == (backend == 'gpu')


def test_domains_of_other_channels():
    config = tiny(data__channels_A=1, data__channels_B=4, loss__identity_weight=0.0, loss__cam_weight=0.0)
    state, metrics = run(config, steps=1)
    assert state.generator['genA2B']['head']['kernel'].shape[-1] == 4
    assert 'G_id_A' not in metrics and np.isfinite(metrics['G'])


def test_bfloat16_computes_close_to_float32_and_keeps_float32_weights():
    (_, exact), (state, metrics) = run(tiny(), steps=1), run(tiny(training__compute_dtype='bfloat16'), steps=1)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.generator)} == {jnp.dtype('float32')}
    for name in ('D', 'G', 'G_recon_A', 'G_cam_A', 'D_ad_GA'):
        assert metrics[name] == pytest.approx(exact[name], rel=0.03), name
    assert metrics['G'] != exact['G']


@pytest.mark.slow  # tests/data/test_diffaugment.py has its laws
def test_diffaugment_changes_what_discriminators_see_and_nothing_else():
    (_, plain), (_, augmented) = run(tiny(), steps=1), run(tiny(augment__diffaugment='color,translation,cutout'), steps=1)
    assert augmented['G_recon_A'] == pytest.approx(plain['G_recon_A'], rel=1e-5)
    assert abs(augmented['D_ad_GA'] - plain['D_ad_GA']) > 1e-6


def test_no_tensorflow_in_model_losses_state_and_step():
    code = (
        'import sys\n'
        'for name in ("tensorflow", "tensorflow_datasets", "clu"): sys.modules[name] = None\n'
        'import ugatit_jax.models.losses, ugatit_jax.training.state, ugatit_jax.training.loop\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


MANY_DEVICES = """
import sys, jax, numpy as np
sys.path[:0] = ["."]
from tests.training.test_step import batch_of, tiny
from ugatit_jax import sharding
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step
sharding.MIN_SHARDED_ELEMENTS, sharding.KEEP_SHARDED_ELEMENTS = 64, 1024
fields = dict(data__batch_size=4, augment__diffaugment="color,translation,cutout", training__compute_dtype="float64")
config = tiny(**fields, **eval(sys.argv[3]))
mesh = sharding.make_mesh(4, config.training.accumulate)
assert mesh.size == int(sys.argv[1]), mesh
networks = make_networks(config)
state_sharding = sharding.StateSharding(mesh, config.training.shard_params)
state = init_state(networks, config, state_sharding)
state = jax.tree.map(lambda x: x.astype(float) if x.dtype == "float32" else x, state)
pieces = [x for x in jax.tree.leaves(state.generator_opt) if not x.is_fully_replicated]
assert bool(pieces) == config.training.shard_params
step = jax.jit(make_train_step(networks, config, state_sharding.gather), donate_argnums=0,
               out_shardings=(state_sharding(state), sharding.replicated(mesh)))
for k in range(3):
    state, metrics = step(state, sharding.shard_batch(jax.device_get(batch_of(config, k, 4)), mesh))
np.savez(sys.argv[2], **jax.device_get(metrics))
"""


@pytest.mark.parametrize(
    'devices, fields',
    [
        (2, dict(training__shard_params=True, training__accumulate=2, training__remat=True)),
        (1, dict(training__remat=True)),
        pytest.param(4, {}, marks=pytest.mark.slow),
    ],
)
def test_one_device_equals_two_that_save_memory_and_four(devices, fields, tmp_path):
    """In float64: in float32 Adam magnifies the rounding of sums in another order to 2e-4 within three steps.

    The two: pieces of weights and optimiser on each, the batch in two parts, activations computed again.
    """
    results = []
    for count, settings in ((1, {}), (devices, fields)):
        path = tmp_path / f'{len(results)}.npz'
        flags = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={count}'
        subprocess.run(
            [sys.executable, '-c', MANY_DEVICES, str(count), path, repr(settings)],
            check=True,
            cwd=ROOT,
            env={**os.environ, 'XLA_FLAGS': flags, 'JAX_ENABLE_X64': '1'},
        )
        results.append(np.load(path))
    one, other = results
    assert set(one.files) == set(other.files) and len(one.files) > 26
    for name in one.files:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-8, err_msg=name)
