"""The same convolution in the forms that XLA's CPU backend runs fast; GPU and TPU take the stock one.

XLA on CPU is slow at three things: any part of a convolution over few pixels and many channels, gradients to kernels,
and, inside a loop (the residual blocks), every convolution that is not plain NHWC times HWIO.
"""
import jax
import jax.numpy as jnp
from jax import lax

FEW_PIXELS = 64  # outputs a picture below which patches times a matrix wins
LARGEST_PRODUCTS = 4  # kernels up to this side get their gradient as products


def convolve(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Unpadded convolution of x [B, h, w, in] with kernel [k, k, in, out]."""
    k = kernel.shape[0]
    h, w = ((n - k) // stride + 1 for n in x.shape[1:3])
    if k > 1 and h * w <= FEW_PIXELS:
        patches = jnp.concatenate([tap(x, i, j, h, w, stride) for i in range(k) for j in range(k)], axis=-1)
        return jnp.dot(patches, kernel.reshape(-1, kernel.shape[-1]))  # [B, h, w, k*k*in] x [k*k*in, out]
    if stride == 1 and k <= LARGEST_PRODUCTS:
        return dense_convolution(x, kernel)
    return stock(x, kernel, stride)


def stock(x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
    """XLA's convolution with zero padding."""
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def tap(x: jax.Array, i: int, j: int, h: int, w: int, stride: int = 1) -> jax.Array:
    """What tap (i, j) of a kernel sees of x [B, ., ., C]: [B, h, w, C]."""
    return x[:, i:i + stride * (h - 1) + 1:stride, j:j + stride * (w - 1) + 1:stride]


@jax.custom_vjp
def dense_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of stride 1 with gradients of its own."""
    return stock(x, kernel)


def forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Output and what the gradients need."""
    return stock(x, kernel), (x, kernel)


def backward(saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients to x as a plain convolution with the turned kernel, to the kernel as one product for each of its rows."""
    x, kernel = saved
    k, (h, w) = kernel.shape[0], dy.shape[1:3]
    dx = stock(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), padding=k - 1)
    columns = jnp.concatenate([x[:, :, j:j + w] for j in range(k)], axis=-1)  # [B, h + k - 1, w, k*in]
    rows = [jnp.einsum('bhwi,bhwo->io', columns[:, i:i + h], dy) for i in range(k)]
    return dx, jnp.stack(rows).reshape(kernel.shape)


dense_convolution.defvjp(forward, backward)
