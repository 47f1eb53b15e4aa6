"""The 3x3 convolution with fewer multiplications, against XLA's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugatit_jax.models.ops import cpu_convolution, winograd
from ugatit_jax.models.ops.padding import pad
from ugatit_jax.models.ops.stock_convolution import stock


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@settings(deadline=None, max_examples=5)
@given(st.integers(1, 3), st.integers(1, 13), st.integers(1, 13), st.integers(1, 4), st.integers(1, 4))
def test_output_and_gradients_are_those_of_a_convolution(batch, h, w, channels, features):
    x, kernel = draw(0, batch, h + 2, w + 2, channels), draw(1, 3, 3, channels, features)
    dy = draw(2, batch, h, w, features)
    with jax.enable_x64(True):

        @functools.partial(jax.jit, static_argnums=0)
        def output_and_gradients(convolve, x, kernel, dy):
            y, vjp = jax.vjp(convolve, x, kernel)
            return y, *vjp(dy)

        results = (output_and_gradients(convolve, x, kernel, dy) for convolve in (winograd.convolve, stock))
        for actual, wanted in zip(*results, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-11, atol=1e-11)


def test_rounding_stays_within_a_few_times_that_of_a_convolution():
    """The usual points (0, 1, -1, 2, -2) and (0, 1, -1, 1/2, -1/2) round 5 times as much as plain sums to the input."""
    x, kernel, dy = (a.astype('float32') for a in (draw(0, 2, 18, 18, 64), draw(1, 3, 3, 64, 64), draw(2, 2, 16, 16, 64)))

    def results(convolve, dtype):
        y, vjp = jax.vjp(convolve, jnp.asarray(x, dtype), jnp.asarray(kernel, dtype))
        return [np.asarray(a, np.float64) for a in (y, *vjp(jnp.asarray(dy, dtype)))]

    with jax.enable_x64(True):
        exact, plain, ours = results(stock, 'float64'), results(stock, 'float32'), results(winograd.convolve, 'float32')
        for e, p, o in zip(exact, plain, ours, strict=True):
            assert np.abs(o - e).mean() < 4 * np.abs(p - e).mean()


def test_gradients_do_not_keep_the_sums_of_the_forward_pass():
    x, kernel = jnp.zeros((1, 32, 32, 32)), jnp.zeros((3, 3, 32, 32))

    def work_space(depth: int) -> float:
        """In maps; beside them there are the sums of one convolution at a time."""

        def loss(x, kernels):
            for kernel in kernels:
                x = jnp.sin(cpu_convolution.convolve(x, kernel, 1, (1, 1)))
            return jnp.sum(x)

        step = jax.jit(jax.grad(loss, (0, 1))).lower(x, [kernel] * depth).compile()
        return step.memory_analysis().temp_size_in_bytes / x.nbytes

    assert (work_space(8) - work_space(2)) / 6 < 2.6  # an input, a sine's argument; with the sums it is 4.2


def test_in_bfloat16_only_inputs_and_results_are_rounded():
    x, kernel = (jnp.asarray(draw(0, 1, 18, 18, 32), jnp.bfloat16), jnp.asarray(draw(1, 3, 3, 32, 32), jnp.bfloat16))
    y, vjp = jax.vjp(winograd.convolve, x, kernel)
    wide, wide_vjp = jax.vjp(stock, x.astype('float32'), kernel.astype('float32'))
    for ours, expected in zip((y, *vjp(y)), (wide, *wide_vjp(y.astype('float32'))), strict=True):
        assert ours.dtype == jnp.bfloat16
        np.testing.assert_allclose(ours.astype('float32'), expected, rtol=2**-8, atol=1e-3 * float(jnp.abs(expected).max()))


@pytest.mark.parametrize(
    'h, w, k, stride, taken',
    [(16, 24, 3, 1, True), (18, 25, 3, 1, True), (8, 8, 3, 1, False), (32, 32, 3, 2, False), (17, 17, 4, 1, False)],
)
def test_every_3x3_convolution_of_many_pixels_is_computed_so(h, w, k, stride, taken, monkeypatch):
    calls = []
    original = winograd.convolve
    monkeypatch.setattr(winograd, 'convolve', lambda *args: calls.append(args) or original(*args))
    x, kernel = jnp.asarray(draw(0, 1, h, w, 8), 'float32'), jnp.asarray(draw(1, k, k, 8, 8), 'float32')
    y = cpu_convolution.convolve(x, kernel, stride, (1, 1))
    assert bool(calls) == taken
    np.testing.assert_allclose(y, stock(pad(x, (1, 1)), kernel, stride), rtol=1e-4, atol=1e-4)
