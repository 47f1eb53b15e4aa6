"""The 3x3 convolution with fewer multiplications, against XLA's."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugatit_jax.models import cpu_convolution, winograd
from ugatit_jax.models.cpu_convolution import stock
from ugatit_jax.models.padding import pad


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@settings(deadline=None, max_examples=8)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_output_and_gradients_are_those_of_a_convolution(batch, t, s, channels, features):
    x, kernel = draw(0, batch, 4 * t + 2, 4 * s + 2, channels), draw(1, 3, 3, channels, features)
    dy = draw(2, batch, 4 * t, 4 * s, features)
    with jax.enable_x64(True):
        (y, vjp), (expected, expected_vjp) = jax.vjp(winograd.convolve, x, kernel), jax.vjp(stock, x, kernel)
        np.testing.assert_allclose(y, expected, rtol=1e-11, atol=1e-11)
        for actual, wanted in zip(vjp(dy), expected_vjp(dy), strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-11, atol=1e-11)


def test_rounding_stays_within_a_few_times_that_of_a_convolution():
    x, kernel, dy = draw(0, 2, 18, 18, 64), draw(1, 3, 3, 64, 64), draw(2, 2, 16, 16, 64)

    def results(convolve, dtype):
        y, vjp = jax.vjp(convolve, jnp.asarray(x, dtype), jnp.asarray(kernel, dtype))
        return [np.asarray(a, np.float64) for a in (y, *vjp(jnp.asarray(dy, dtype)))]
    with jax.enable_x64(True):
        exact, plain, ours = results(stock, 'float64'), results(stock, 'float32'), results(winograd.convolve, 'float32')
        for e, p, o in zip(exact, plain, ours, strict=True):
            assert np.abs(o - e).mean() < 6 * np.abs(p - e).mean()


def test_in_bfloat16_only_inputs_and_results_are_rounded():
    x, kernel = (jnp.asarray(draw(0, 1, 18, 18, 32), jnp.bfloat16), jnp.asarray(draw(1, 3, 3, 32, 32), jnp.bfloat16))
    y, vjp = jax.vjp(winograd.convolve, x, kernel)
    wide, wide_vjp = jax.vjp(stock, x.astype('float32'), kernel.astype('float32'))
    for ours, expected in zip((y, *vjp(y)), (wide, *wide_vjp(y.astype('float32'))), strict=True):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(ours.astype('float32'), expected, rtol=2**-8, atol=1e-3 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize('h, w, taken', [(16, 24, True), (18, 16, False)])
def test_residual_blocks_use_it_where_tiles_are_whole(h, w, taken, monkeypatch):
    calls = []
    original = winograd.convolve
    monkeypatch.setattr(winograd, 'convolve', lambda *args: calls.append(args) or original(*args))
    x, kernel = jnp.asarray(draw(0, 1, h, w, 8), 'float32'), jnp.asarray(draw(1, 3, 3, 8, 8), 'float32')
    y = cpu_convolution.convolve(x, kernel, 1, (1, 1))
    assert bool(calls) == taken
    np.testing.assert_allclose(y, stock(pad(x, (1, 1)), kernel), rtol=1e-4, atol=1e-4)
