"""Laws of the train step that goldens do not show."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.small import random_batch, small_config
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.objectives import deinterleave, interleave
from ugatit_jax.training.rho import clip_rho
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step


def run(config, steps: int = 2, size: int = 2):
    networks = make_networks(config)
    state, train_step = init_state(networks, config), jax.jit(make_train_step(networks, config))
    for k in range(steps):
        state, metrics = train_step(state, random_batch(config, k, size))
    return state, jax.device_get(metrics)


def test_interleave_and_deinterleave():
    a, b = jnp.arange(6.0).reshape(3, 2), -jnp.arange(6.0).reshape(3, 2)
    assert interleave(a, b)[:, 1].tolist() == [1, -1, 3, -3, 5, -5]
    for x, y in zip(deinterleave(interleave(a, b)), (a, b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_rho_is_clipped_wherever_it_is():
    up = {'rho': jnp.array([1.2]), 'gamma': jnp.array([1.2])}
    params = {'decoder': {'norm_0': {'rho': jnp.array([-0.1, 0.5])}}, 'up_norm_0': up}
    clipped = clip_rho(params)
    assert clipped['decoder']['norm_0']['rho'].tolist() == [0, 0.5]
    assert clipped['up_norm_0']['rho'].tolist() == [1] and clipped['up_norm_0']['gamma'] == params['up_norm_0']['gamma']


def test_rho_stays_in_the_unit_interval_under_a_wild_rate_and_the_average_follows():
    config = small_config(optimizer__learning_rate=0.3, training__ema_decay=0.75)
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
    config = small_config(training__compute_dtype='bfloat16', model__n_res=2)
    networks = make_networks(config)
    assert networks.genA2B.unroll == (2 if backend == 'gpu' else 1)
    assert make_networks(small_config(training__scan_blocks=True, model__n_res=2)).genA2B.unroll == 1
    state = jax.eval_shape(lambda: init_state(networks, config))
    traced = jax.jit(make_train_step(networks, config)).trace(state, random_batch(config, 0))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    convolutions = [line for line in text.splitlines() if 'stablehlo.convolution(' in line]
    assert len(convolutions) > 50 and all(line.endswith('xbf16>') for line in convolutions)
    assert 'stablehlo.case' not in text and 'stablehlo.if' not in text  # what orders a CPU's program
    assert text.count('optimization_barrier') > 90 and ('@LayoutConstraint' in text) == (backend == 'gpu')


def test_domains_of_other_channels():
    config = small_config(data__channels_A=1, data__channels_B=4, loss__identity_weight=0.0, loss__cam_weight=0.0)
    state, metrics = run(config, steps=1)
    assert state.generator['genA2B']['head']['kernel'].shape[-1] == 4
    assert 'G_id_A' not in metrics and np.isfinite(metrics['G'])


def test_bfloat16_computes_close_to_float32_and_keeps_float32_weights():
    (_, exact), (state, metrics) = (
        run(small_config(), steps=1),
        run(small_config(training__compute_dtype='bfloat16'), steps=1),
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(state.generator)} == {jnp.dtype('float32')}
    for name in ('D', 'G', 'G_recon_A', 'G_cam_A', 'D_ad_GA'):
        assert metrics[name] == pytest.approx(exact[name], rel=0.03), name
    assert metrics['G'] != exact['G']


@pytest.mark.slow  # tests/data/test_diffaugment.py has its laws
def test_diffaugment_changes_what_discriminators_see_and_nothing_else():
    (_, plain), (_, augmented) = (
        run(small_config(), steps=1),
        run(small_config(augment__diffaugment='color,translation,cutout'), steps=1),
    )
    assert augmented['G_recon_A'] == pytest.approx(plain['G_recon_A'], rel=1e-5)
    assert abs(augmented['D_ad_GA'] - plain['D_ad_GA']) > 1e-6


def test_no_tensorflow_in_model_losses_state_and_step():
    code = (
        'import sys\n'
        'for name in ("tensorflow", "tensorflow_datasets", "clu"): sys.modules[name] = None\n'
        'import ugatit_jax.models.losses, ugatit_jax.training.state, ugatit_jax.training.loop\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


@pytest.mark.parametrize(
    'devices, fields',
    [
        (2, dict(training__shard_params=True, training__accumulate=2, training__remat=True)),
        (1, dict(training__remat=True)),
        pytest.param(4, {}, marks=pytest.mark.slow),
    ],
)
def test_one_device_equals_two_that_save_memory_and_four(devices, fields, tmp_path):
    """In float64: in float32 Adam amplifies the rounding of sums in another order to 2e-4 within three steps.

    The two devices: FSDP, two microbatches, rematerialisation.
    """
    results = []
    for count, settings in ((1, {}), (devices, fields)):
        path = tmp_path / f'{len(results)}.npz'
        flags = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={count}'
        subprocess.run(
            [sys.executable, '-m', 'tests.helpers.many_devices', str(count), path, repr(settings)],
            check=True,
            cwd=ROOT,
            env={**os.environ, 'XLA_FLAGS': flags, 'JAX_ENABLE_X64': '1'},
        )
        results.append(np.load(path))
    one, other = results
    assert set(one.files) == set(other.files) and len(one.files) > 26
    for name in one.files:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-8, err_msg=name)
