"""Convolutions from or to few channels, those of images, as one product over all taps: for CPUs and TPUs.

A matrix unit of a TPU is 128 wide: with 3 channels it is nearly idle, and the gradients of the stock convolution take its
compiler half a minute each. With the 7 x 7 taps of 3 channels side by side there are 147.
"""

import jax
import jax.numpy as jnp
from jax import lax

from ugatit_jax.common.compiler import on_cpu, recompute_after
from ugatit_jax.models.ops.stock_convolution import stock

THIN = 200  # taps times channels up to which all taps are concatenated into one product


def is_thin(kernel_shape: tuple[int, ...], stride: int) -> bool:
    """Whether `thin_convolution` takes a kernel [k, k, in, out] with this stride."""
    k, _, channels, features = kernel_shape
    return stride == 1 and k * k * min(channels, features) <= THIN


def thin_convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of x [B, ., ., in] with kernel [k, k, in, out], of which in or out is few."""
    return from_thin(x, kernel) if kernel.shape[2] < kernel.shape[3] else to_thin(x, kernel)


def columns_of(x: jax.Array, k: int, w: int, stride: int = 1) -> jax.Array:
    """What the k taps of a kernel's row see: x [B, h, ., C] -> [B, h, w, k*C]."""
    return jnp.concatenate([x[:, :, j : j + stride * (w - 1) + 1 : stride] for j in range(k)], axis=-1)


def taps(x: jax.Array, k: int) -> jax.Array:
    """What each tap of a k x k kernel sees: x [B, ., ., C] -> [B, h, w, k*k*C]."""
    h, w = (n - k + 1 for n in x.shape[1:3])
    x = columns_of(x, k, w)
    return jnp.concatenate([x[:, i : i + h] for i in range(k)], axis=-1)


def sum_of_products(a: jax.Array, b: jax.Array) -> jax.Array:
    """Sum over all pixels of a [B, h, w, C] times b [B, h, w, D]: [C, D]."""
    if on_cpu():  # over three axes XLA would transpose a first
        return jnp.einsum('nc,nd->cd', a.reshape(-1, a.shape[3]), b.reshape(-1, b.shape[3]))
    return jnp.einsum('bhwc,bhwd->cd', a, b)


def zero_pad(x: jax.Array, n: int) -> jax.Array:
    """x [B, h, w, C] with n zeros on every side: [B, h + 2n, w + 2n, C]."""
    return jnp.pad(x, ((0, 0), (n, n), (n, n), (0, 0)))


def transposed(kernel: jax.Array) -> jax.Array:
    """The kernel of the convolution that gives the gradient to the input."""
    return jnp.flip(kernel, (0, 1)).swapaxes(2, 3)


@jax.custom_vjp
def from_thin(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of x [B, ., ., in] with kernel [k, k, in, out] where `in` is few (images).

    One product, but for translation on a CPU: with forward_options, XLA's convolution takes half to a fifth of its time.
    """
    if on_cpu():
        return stock(x, kernel)
    return product_of_taps(x, kernel)


def product_of_taps(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`from_thin` as one product."""
    return jnp.dot(taps(x, kernel.shape[0]), kernel.reshape(-1, kernel.shape[3]))


def from_thin_backward(saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients; that to x, where it is wanted, is a convolution to few channels."""
    x, kernel = saved
    k = kernel.shape[0]
    dkernel = sum_of_products(taps(recompute_after(x, dy), k), dy)
    return to_thin(zero_pad(dy, k - 1), transposed(kernel)), dkernel.reshape(kernel.shape)


from_thin.defvjp(lambda x, kernel: (product_of_taps(x, kernel), (x, kernel)), from_thin_backward)


@jax.custom_vjp
def to_thin(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of x [B, ., ., in] with kernel [k, k, in, out] where `out` is few (images).

    Each row of the kernel is one product with its taps as channels, [B, ., ., k*out]; the taps' maps are shifted and added.
    """
    k, _, channels, features = kernel.shape
    h, w = (n - k + 1 for n in x.shape[1:3])
    rows = kernel.transpose(0, 2, 1, 3).reshape(k, channels, k * features)
    if on_cpu():  # sliced after the product: slices of x would be copies
        y = sum(jnp.dot(x, rows[i])[:, i : i + h] for i in range(k))
    else:  # sums of bfloat16 products stay in float32
        y = lax.conv_general_dilated(
            x,
            rows[:, None],
            (1, 1),
            'VALID',
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
            preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
        )
    y = y.reshape(-1, h, x.shape[2], k, features)
    return sum(y[:, :, j : j + w, j] for j in range(k)).astype(x.dtype)


def to_thin_backward(saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients: both from the taps of dy, which is thin."""
    x, kernel = saved
    k, _, channels, features = kernel.shape
    around = taps(zero_pad(dy, k - 1), k)
    dkernel = sum_of_products(around, x).reshape(k, k, features, channels)
    return jnp.dot(around, transposed(kernel).reshape(-1, channels)), transposed(dkernel)


to_thin.defvjp(lambda x, kernel: (to_thin(x, kernel), (x, kernel)), to_thin_backward)
