"""Laws of the train step that goldens do not show."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.small import random_batch, small_config
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training import objectives
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.objectives import DiffAugment, deinterleave, interleave
from ugatit_jax.training.rho import clip_rho
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step


@functools.cache  # rates and weights are inputs: sets of fields that differ in those share a program
def step_once(**fields):
    """(state before, state after, metrics) of one step of the small config with an average and these fields."""
    config = small_config(training__ema_decay=0.75, **fields)
    networks = make_networks(config)
    start = init_state(networks, config)
    state, metrics = jax.jit(make_train_step(networks, config))(start, random_batch(config, 0, 2), hyperparameters(config))
    return start, state, jax.device_get(metrics)


STILL = dict(optimizer__learning_rate=1e-12)  # discriminators that stay what they were when they judge the generators


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
    start, state, _ = step_once(optimizer__learning_rate=0.3)
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
    traced = jax.jit(make_train_step(networks, config)).trace(state, random_batch(config, 0), hyperparameters(config))
    text = traced.lower(lowering_platforms=(platform,)).as_text()
    convolutions = [line for line in text.splitlines() if 'stablehlo.convolution(' in line]
    # on a TPU those from and to images are products over all taps, with sums in float32
    assert len(convolutions) > (50 if backend == 'gpu' else 40)
    operands = [re.search(r': \(tensor<[^>]*x(\w+)>, tensor<[^>]*x(\w+)>\)', line).groups() for line in convolutions]
    assert set(operands) == {('bf16', 'bf16')}
    assert backend == 'tpu' or all(line.endswith('xbf16>') for line in convolutions)
    assert 'stablehlo.case' not in text and 'stablehlo.if' not in text  # what orders a CPU's program
    assert text.count('optimization_barrier') > 90 and ('@LayoutConstraint' in text) == (backend == 'gpu')


def test_domains_of_other_channels():
    config = small_config(data__channels_A=1, data__channels_B=4, loss__identity_weight=0.0, loss__cam_weight=0.0)
    networks = make_networks(config)
    state = jax.eval_shape(lambda: init_state(networks, config))
    state, metrics = jax.eval_shape(
        make_train_step(networks, config), state, random_batch(config, 0), hyperparameters(config)
    )
    assert state.generator['genA2B']['head']['kernel'].shape[-1] == 4
    assert 'G_id_A' not in metrics and metrics['G'].shape == ()


@pytest.mark.slow  # compiles two steps
def test_bfloat16_computes_close_to_float32_and_keeps_float32_weights():
    exact = step_once(**STILL)[-1]
    _, state, metrics = step_once(training__compute_dtype='bfloat16', **STILL)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.generator)} == {jnp.dtype('float32')}
    for name in ('D', 'G', 'G_recon_A', 'G_cam_A', 'D_ad_GA'):
        assert metrics[name] == pytest.approx(exact[name], rel=0.03), name
    assert metrics['G'] != exact['G']


def test_diffaugment_is_in_both_halves_and_changes_what_discriminators_see_and_nothing_else():
    plain, augmented = step_once(**STILL)[-1], step_once(augment__diffaugment='color,translation,cutout', **STILL)[-1]
    for name in ('G_recon_A', 'G_id_B', 'G_cam_A'):
        assert augmented[name] == pytest.approx(plain[name], rel=1e-5)
    for name in ('D_ad_GA', 'D_cam_LB', 'G_ad_GA', 'G_adcam_LB'):
        assert abs(augmented[name] - plain[name]) > 1e-6, name


def test_what_discriminators_see_is_augmented_differently_by_image_and_by_discriminator(monkeypatch):
    """Real and fake of one example too; rows are places in the whole batch, of which a microbatch has some."""
    monkeypatch.setattr(objectives, 'forward', lambda networks, config, name, variables, images: images)

    @functools.partial(jax.jit, static_argnums=0)
    def seen(name, rows):
        augmentation = DiffAugment(('color',), jax.random.key(0), rows)
        images = jnp.zeros((2 * 3, 4, 4, 3))
        return objectives.discriminate(None, None, name, {name: None}, {name: None}, images, augmentation)

    real, fake = deinterleave(seen('disGA', np.arange(3)))
    assert len(np.unique(np.concatenate([real, fake])[:, 0, 0, 0])) == 6
    assert not np.array_equal(seen('disLA', np.arange(3)), interleave(real, fake))
    np.testing.assert_array_equal(seen('disGA', np.array([2, 5, 7]))[:2], np.stack([real[2], fake[2]]))


def test_every_weight_of_a_direction_weighs_its_own_term_and_the_decay_is_of_kernels():
    names = [
        f'{name}_{direction}'
        for name in ('adversarial_weight', 'cycle_weight', 'identity_weight', 'cam_weight')
        for direction in ('A2B', 'B2A')
    ]
    weights = dict(zip(names, (2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0)))
    fields = {f'loss__{name}': value for name, value in weights.items()}
    start, _, metrics = step_once(optimizer__weight_decay=10.0, **fields)
    # A2B: what genA2B makes (fake_B, idt_B, its CAM), the cycle that it begins (rec_A), and the discriminators of B
    for made, here, back in (('B', 'A2B', 'B2A'), ('A', 'B2A', 'A2B')):
        adversarial = sum(metrics[f'G_{term}_{reach}{made}'] for term in ('ad', 'adcam') for reach in 'GL')
        expected = (
            weights[f'adversarial_weight_{here}'] * adversarial
            + weights[f'cycle_weight_{back}'] * metrics[f'G_recon_{made}']
            + weights[f'identity_weight_{here}'] * metrics[f'G_id_{made}']
            + weights[f'cam_weight_{here}'] * metrics[f'G_cam_{made}']
        )
        assert metrics[f'G_{made}'] == pytest.approx(expected, rel=1e-5)
        judged = sum(metrics[f'D_{term}_{reach}{made}'] for term in ('ad', 'cam') for reach in 'GL')
        assert metrics[f'D_{made}'] == pytest.approx(weights[f'adversarial_weight_{here}'] * judged, rel=1e-5)
    for total, params in (('D', start.discriminator), ('G', start.generator)):
        decay = (
            10
            * sum(np.sum(np.square(leaf)) for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == 'kernel')
            / 2
        )
        assert decay > 1 and metrics[total] == pytest.approx(metrics[f'{total}_A'] + metrics[f'{total}_B'] + decay, rel=1e-5)


def test_no_tensorflow_in_model_losses_state_and_step():
    code = (
        'import sys\n'
        'for name in ("tensorflow", "tensorflow_datasets", "clu"): sys.modules[name] = None\n'
        'import ugatit_jax.models.losses, ugatit_jax.training.state, ugatit_jax.training.loop\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)


def many_devices(path: Path, devices: int, **fields) -> dict[str, np.ndarray]:
    """The metrics of the last of three steps on that many CPU devices, in float64.

    In float32 Adam amplifies the rounding of sums in another order to 2e-4 within three steps.
    """
    flags = f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={devices}'
    subprocess.run(
        [sys.executable, '-m', 'tests.helpers.many_devices', str(devices), path, repr(fields)],
        check=True,
        cwd=ROOT,
        env={**os.environ, 'XLA_FLAGS': flags, 'JAX_ENABLE_X64': '1'},
    )
    return dict(np.load(path))


@pytest.fixture(scope='module')
def one_device(tmp_path_factory):
    return many_devices(tmp_path_factory.mktemp('one') / 'device.npz', 1)


@pytest.mark.parametrize(
    'devices, fields',
    [
        (2, dict(training__shard_params=True, training__accumulate=2, training__remat=True)),
        pytest.param(1, dict(training__remat=True), marks=pytest.mark.slow),
        pytest.param(4, {}, marks=pytest.mark.slow),
    ],
)
def test_one_device_equals_two_that_save_memory_and_four(devices, fields, one_device, tmp_path):
    """The two devices: FSDP, two microbatches, rematerialisation."""
    other = many_devices(tmp_path / 'other.npz', devices, **fields)
    assert set(one_device) == set(other) and len(one_device) > 26
    for name, one in one_device.items():
        np.testing.assert_allclose(other[name], one, rtol=1e-8, err_msg=name)
