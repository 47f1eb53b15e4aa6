"""AdaLIN, LIN and instance norm against direct formulas, and at the ends of rho."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugatit_jax.models.adalin import LIN, AdaLIN, adalin, instance_norm

SHAPES = st.tuples(st.integers(1, 3), st.integers(2, 4), st.integers(2, 4), st.integers(2, 4))


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.5, 2.0, shape)


def direct(x, rho, gamma, beta, smoothing, ddof):
    """Equation 1 of the paper, word for word."""
    rho = np.clip(rho - smoothing, 0, 1) if smoothing else rho
    a_in = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True, ddof=ddof) + 1e-5)
    a_ln = (x - x.mean((1, 2, 3), keepdims=True)) / np.sqrt(x.var((1, 2, 3), keepdims=True, ddof=ddof) + 1e-5)
    return gamma[:, None, None] * (rho * a_in + (1 - rho) * a_ln) + beta[:, None, None]


@settings(deadline=None, max_examples=20)
@given(SHAPES, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1]), st.sampled_from([0, 1]))
def test_adalin_is_equation_1(shape, seed, smoothing, ddof):
    x, (gamma, beta) = draw(seed, *shape), draw(seed + 1, 2, shape[0], shape[3])
    rho = np.random.default_rng(seed).uniform(0, 1, shape[3])
    with jax.enable_x64(True):
        actual = adalin(*(jnp.asarray(a) for a in (x, rho, gamma[:, None, None], beta[:, None, None])), smoothing, ddof)
        np.testing.assert_allclose(actual, direct(x, rho, gamma, beta, smoothing, ddof), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=15)
@given(SHAPES, st.integers(0, 2**32 - 1))
def test_rho_1_is_instance_norm_and_rho_0_layer_norm(shape, seed):
    x, ones, zeros = draw(seed, *shape).astype(np.float32), jnp.ones(shape[3]), jnp.zeros(shape[3])
    np.testing.assert_allclose(adalin(x, ones, ones, zeros), instance_norm(jnp.asarray(x)), atol=1e-4)
    layer = (x - x.mean((1, 2, 3), keepdims=True)) / np.sqrt(x.var((1, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(adalin(x, zeros, ones, zeros), layer, atol=1e-4)


@pytest.mark.parametrize('value', [0.0, 3.0, -200.0])
def test_a_flat_channel_stays_finite(value):
    x = jnp.full((1, 4, 4, 3), value)
    for out in (instance_norm(x), adalin(x, jnp.ones(3), jnp.ones(3), jnp.zeros(3))):
        np.testing.assert_allclose(out, 0, atol=1e-2)  # rounding of the offset, over sqrt(eps)
    assert np.isfinite(jax.grad(lambda x: instance_norm(x).sum())(x)).all()


@pytest.mark.parametrize('mean', [10, 1000])
def test_a_small_variance_on_a_large_mean_is_kept(mean):
    x = np.random.default_rng(0).normal(mean, 1, (1, 32, 32, 2)).astype(np.float32)
    exact = (x - x.mean((1, 2), dtype=np.float64)) / np.sqrt(x.var((1, 2), dtype=np.float64) + 1e-5)
    np.testing.assert_allclose(instance_norm(jnp.asarray(x)), exact, atol=mean * 1e-6 + 1e-5)


def test_start_values():
    x = jnp.ones((1, 4, 4, 3))
    decoder = AdaLIN(0.9, 0.0, 1).init(jax.random.key(0), x, jnp.ones((1, 3)), jnp.ones((1, 3)))['params']
    up = LIN(1).init(jax.random.key(0), x)['params']
    assert decoder['rho'].tolist() == [np.float32(0.9)] * 3
    assert {name: value.tolist() for name, value in up.items()} == {'rho': [0] * 3, 'gamma': [1] * 3, 'beta': [0] * 3}


def test_bfloat16_keeps_float32_statistics():
    x = jnp.asarray(draw(0, 1, 32, 32, 4) + 50, jnp.bfloat16)  # a sum of squares in bfloat16 would lose the variance
    exact = instance_norm(x.astype(jnp.float32))
    assert instance_norm(x).dtype == jnp.bfloat16
    np.testing.assert_allclose(instance_norm(x).astype(jnp.float32), exact, atol=0.02)


@pytest.mark.parametrize('relu', [False, True])
def test_the_written_gradient_is_that_of_the_formula(relu):
    def formula(x, rho, gamma, beta):
        a_in = (x - x.mean((1, 2), keepdims=True)) / jnp.sqrt(x.var((1, 2), keepdims=True) + 1e-5)
        a_ln = (x - x.mean((1, 2, 3), keepdims=True)) / jnp.sqrt(x.var((1, 2, 3), keepdims=True) + 1e-5)
        y = gamma * (rho * a_in + (1 - rho) * a_ln) + beta
        return jax.nn.relu(y) if relu else y

    def gradients(function):
        return jax.jit(jax.grad(lambda *args: jnp.sum(jnp.sin(3 * function(*args))), (0, 1, 2, 3)))(*arguments)

    with jax.enable_x64(True):
        shapes = [(2, 5, 4, 3), (3,), (2, 1, 1, 3), (2, 1, 1, 3)]
        arguments = [jnp.asarray(draw(i, *shape)) for i, shape in enumerate(shapes)]
        for ours, exact in zip(gradients(lambda *a: adalin(*a, relu=relu)), gradients(formula), strict=True):
            np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-9)
