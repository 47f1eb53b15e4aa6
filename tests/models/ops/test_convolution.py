"""Padding, the sub-pixel form of up-sampling, and the CPU forms, against XLA's stock convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugatit_jax.models.ops import convolution, cpu_convolution
from ugatit_jax.models.ops.convolution import Conv, UpConv
from ugatit_jax.models.ops.padding import pad
from ugatit_jax.models.ops.stock_convolution import stock
from ugatit_jax.models.ops.thin_convolution import thin_convolution


def draw(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 2), st.integers(2, 6), st.integers(2, 6), st.integers(1, 3))
def test_up_convolution_is_nearest_then_reflect_then_3x3(batch, h, w, channels):
    with jax.enable_x64(True):
        x = draw(h, batch, h, w, channels)
        module = UpConv(5, dtype=jnp.float64)
        params = {'kernel': draw(1, 3, 3, channels, 5), 'bias': draw(2, 5)}
        large = np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)
        expected = stock(np.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)), 'reflect'), params['kernel']) + params['bias']
        np.testing.assert_allclose(jax.jit(module.apply)({'params': params}, x), expected, rtol=1e-10, atol=1e-10)


# few pixels, many pixels, strided, one tap, from and to few channels, many weights
@pytest.mark.parametrize(
    'size, k, stride, channels, features',
    [
        (5, 4, 1, 3, 4),
        (9, 4, 2, 3, 4),
        (20, 3, 1, 30, 40),
        (19, 4, 2, 3, 4),
        (12, 1, 1, 3, 4),
        (16, 7, 1, 3, 4),
        (16, 7, 1, 8, 3),
        (13, 3, 1, 200, 2),
        (21, 3, 2, 200, 2),
    ],
)
def test_cpu_forms_equal_stock(size, k, stride, channels, features):
    with jax.enable_x64(True):
        x, kernel = draw(0, 2, size, size + 1, channels), draw(1, k, k, channels, features)

        def gradients(convolve):
            def total(x, kernel):
                return jnp.sum(jnp.sin(convolve(x, kernel, stride)))

            return jax.jit(jax.value_and_grad(total, (0, 1)))(x, kernel)

        expected, actual = gradients(stock), gradients(cpu_convolution.convolve)
        for e, a in zip(jax.tree.leaves(expected), jax.tree.leaves(actual), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9)


# from and to few channels, one tap, too many channels, strided
@pytest.mark.parametrize(
    'k, stride, channels, features', [(7, 1, 3, 8), (7, 1, 8, 3), (4, 1, 30, 1), (3, 1, 40, 30), (4, 2, 3, 8)]
)
def test_tpu_forms_equal_stock(k, stride, channels, features, monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
    thin = []
    monkeypatch.setattr(convolution, 'thin_convolution', lambda *arrays: thin.append(1) or thin_convolution(*arrays))
    with jax.enable_x64(True):
        x, kernel = draw(0, 2, 12, 13, channels), draw(1, k, k, channels, features)

        def gradients(convolve):
            def total(x, kernel):
                return jnp.sum(jnp.sin(convolve(x, kernel, stride)))

            return jax.jit(jax.value_and_grad(total, (0, 1)))(x, kernel)

        expected, actual = gradients(stock), gradients(convolution.convolve)
        assert bool(thin) == (stride == 1 and channels != 40)
        for e, a in zip(jax.tree.leaves(expected), jax.tree.leaves(actual), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9)


def test_tpu_form_to_few_channels_adds_in_float32(monkeypatch):
    """Of 7 x 7 products in bfloat16: as exact as the stock convolution, which rounds once."""
    x, kernel = draw(0, 1, 20, 20, 8).astype(jnp.bfloat16), draw(1, 7, 7, 8, 3).astype(jnp.bfloat16)
    exact = stock(x.astype(jnp.float32), kernel.astype(jnp.float32))
    monkeypatch.setattr(jax, 'default_backend', lambda: 'tpu')
    y = convolution.convolve(x, kernel)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


# gradient penalties differentiate a gradient; the forms as above
@pytest.mark.parametrize(
    'backend, size, k, stride, channels, features',
    [
        ('cpu', 5, 4, 1, 3, 4),
        ('cpu', 16, 3, 1, 3, 4),
        ('cpu', 19, 4, 2, 3, 4),
        ('cpu', 12, 4, 1, 100, 2),
        ('cpu', 12, 7, 1, 3, 4),
        ('cpu', 12, 7, 1, 8, 3),
        ('tpu', 12, 4, 1, 30, 1),
    ],
)
def test_gradients_of_gradients_equal_those_of_stock(backend, size, k, stride, channels, features, monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    with jax.enable_x64(True):
        x, kernel = draw(0, 1, size, size, channels), draw(1, k, k, channels, features)

        def second(convolve):
            def first(x, kernel):
                return jax.grad(lambda x: jnp.sum(jnp.sin(convolve(x, kernel))))(x)

            return jax.jit(jax.grad(lambda x, kernel: jnp.sum(jnp.sin(first(x, kernel))), (0, 1)))(x, kernel)

        def expected(x, kernel):
            return stock(jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)), 'reflect'), kernel, stride)

        def actual(x, kernel):
            return convolution.convolve(x, kernel, stride, (1, 2))

        for e, a in zip(second(expected), second(actual), strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    'mode, padding, shape',
    [
        ('reflect', (1, 1), (2, 5, 7, 3)),
        ('reflect', (3, 3), (1, 4, 6, 2)),
        ('reflect', (0, 1), (1, 5, 5, 1)),
        ('reflect', (1, 2), (1, 3, 4, 1)),
        ('edge', (1, 1), (2, 1, 4, 3)),
    ],
)
def test_gradient_of_padding_is_that_of_jnp_pad(mode, padding, shape):
    def gradient(pad):
        return jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(pad(x)))))

    with jax.enable_x64(True):
        x = draw(0, *shape)
        expected = gradient(lambda x: jnp.pad(x, ((0, 0), padding, padding, (0, 0)), mode))(x)
        np.testing.assert_allclose(gradient(lambda x: pad(x, padding, mode))(x), expected, atol=1e-12)


def test_reflect_padding_that_does_not_fit_is_refused():
    assert pad(jnp.arange(3.0).reshape(1, 3, 1, 1).repeat(3, 2), (2, 0)).shape == (1, 5, 5, 1)
    with pytest.raises(ValueError, match=r'\(1, 2\) needs more than 2 pixels'):
        pad(jnp.zeros((1, 2, 8, 1)), (1, 2))
    with pytest.raises(ValueError, match=r'\(0, 2\) is more than 1'):
        pad(jnp.zeros((1, 8, 8, 1)), (0, 2), 'edge')
    with pytest.raises(ValueError, match="'wrap' is neither reflect nor edge"):
        pad(jnp.zeros((1, 8, 8, 1)), (1, 1), 'wrap')


def test_initialisations():
    shape = (1, 16, 16, 32)
    normal = Conv(64, 3, weight_init='normal').init(jax.random.key(0), jnp.zeros(shape))['params']
    assert abs(float(normal['kernel'].std()) - 0.02) < 5e-4 and not normal['bias'].any()
    torch = Conv(64, 3, weight_init='torch').init(jax.random.key(0), jnp.zeros(shape))['params']
    bound = 1 / np.sqrt(9 * 32)
    for leaf in (torch['kernel'], torch['bias']):
        assert 0.9 * bound < float(abs(leaf).max()) <= bound
    assert abs(float(torch['kernel'].std()) - bound / np.sqrt(3)) < 0.02 * bound


def test_xla_convolves_images_in_translation_and_taps_are_a_product_in_training():
    x, kernel = jnp.ones((1, 14, 14, 3)), jnp.ones((7, 7, 3, 8))
    forward = jax.make_jaxpr(thin_convolution)(x, kernel)
    training = jax.make_jaxpr(jax.grad(lambda kernel: thin_convolution(x, kernel).sum()))(kernel)
    assert 'conv_general_dilated' in str(forward) and 'conv_general_dilated' not in str(training)
