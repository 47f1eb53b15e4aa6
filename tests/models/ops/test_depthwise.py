"""Depthwise and separable convolutions against XLA's grouped and stock ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ugatit_jax.common.compiler import portable
from ugatit_jax.models.ops.depthwise import SeparableConv, SeparableUpConv, depthwise
from ugatit_jax.models.ops.stock_convolution import stock


def draw(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def grouped(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    with portable():
        return depthwise(x, kernel, stride)


def grouped_as_dense(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The dense convolution whose kernel is diagonal in the channels."""
    return stock(x, kernel * jnp.eye(kernel.shape[3]), stride)


@pytest.mark.parametrize('h, w, k, stride', [(6, 9, 3, 1), (8, 7, 3, 2), (5, 5, 2, 1)])
def test_a_depthwise_convolution_and_its_gradients_are_those_of_a_diagonal_kernel(h, w, k, stride):
    with jax.enable_x64(True):
        x, kernel = draw(0, 2, h, w, 3), draw(1, k, k, 1, 3)

        def gradients(convolve):
            return jax.value_and_grad(lambda x, kernel: jnp.sum(jnp.sin(convolve(x, kernel, stride))), (0, 1))(x, kernel)

        expected = gradients(grouped_as_dense)
        for convolve in (depthwise, grouped):
            for e, a in zip(jax.tree.leaves(expected), jax.tree.leaves(gradients(convolve)), strict=True):
                np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize('stride, padding', [(1, (1, 1)), (2, (1, 0)), (2, (0, 1))])
def test_a_separable_convolution_is_reflect_depthwise_then_1x1(stride, padding):
    with jax.enable_x64(True):
        x = draw(0, 2, 6, 8, 3)
        params = {
            'depthwise': {'kernel': draw(1, 3, 3, 1, 3)},
            'pointwise': {'kernel': draw(2, 1, 1, 3, 5), 'bias': draw(3, 5)},
        }
        module = SeparableConv(5, 3, stride, padding, dtype=jnp.float64)
        assert jax.tree.structure(module.init(jax.random.key(0), x)['params']) == jax.tree.structure(params)
        padded = jnp.pad(x, ((0, 0), padding, padding, (0, 0)), 'reflect')
        kernel = params['depthwise']['kernel'][:, :, 0, :, None] * params['pointwise']['kernel'][0, 0]
        expected = stock(padded, kernel, stride) + params['pointwise']['bias']
        np.testing.assert_allclose(module.apply({'params': params}, x), expected, rtol=1e-10, atol=1e-10)


def test_a_separable_up_convolution_is_1x1_nearest_reflect_then_depthwise():
    with jax.enable_x64(True):
        x = draw(0, 2, 4, 5, 3)
        params = {
            'depthwise': {'kernel': draw(1, 3, 3, 1, 5), 'bias': draw(3, 5)},
            'pointwise': {'kernel': draw(2, 1, 1, 3, 5)},
        }
        module = SeparableUpConv(5, dtype=jnp.float64)
        assert jax.tree.structure(module.init(jax.random.key(0), x)['params']) == jax.tree.structure(params)
        large = jnp.repeat(jnp.repeat(x @ params['pointwise']['kernel'][0, 0], 2, axis=1), 2, axis=2)
        large = jnp.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)), 'reflect')
        expected = grouped_as_dense(large, params['depthwise']['kernel']) + params['depthwise']['bias']
        np.testing.assert_allclose(module.apply({'params': params}, x), expected, rtol=1e-10, atol=1e-10)
