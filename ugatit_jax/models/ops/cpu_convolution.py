"""Convolution in the forms that XLA's CPU backend runs fast; GPUs and TPUs take the stock one.

3x3 convolutions are in winograd.py. XLA on CPU is slow at three more: convolutions over few pixels with many channels,
gradients to kernels, and, inside a loop (the residual blocks), every convolution that is not plain NHWC times HWIO.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.common.compiler import recompute_after
from ugatit_jax.models.ops import winograd
from ugatit_jax.models.ops.padding import Padding, check_fit, pad
from ugatit_jax.models.ops.stock_convolution import stock
from ugatit_jax.models.ops.thin_convolution import columns_of, is_thin, thin_convolution, transposed, zero_pad

# measured on 2 cores of an AMD EPYC, see docs/performance-log.md
MANY_WEIGHTS = 1500  # weights for each output from which one product for each row of the kernel is faster
FEW_PIXELS = 64  # outputs per image up to which patches times a matrix are faster


def convolve(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding = (0, 0), mode: str = 'reflect'
) -> jax.Array:
    """Convolution of x [B, h, w, in], padded by `pad`, with kernel [k, k, in, out]."""
    k = kernel.shape[0]
    h, w = ((n + sum(padding) - k) // stride + 1 for n in x.shape[1:3])
    if k > 1 and h * w <= FEW_PIXELS:
        check_fit(x, padding, mode)
        rows, columns = (
            np.pad(np.arange(size), padding, mode)[stride * np.arange(n)[:, None] + np.arange(k)]
            for size, n in ((x.shape[1], h), (x.shape[2], w))
        )  # [h, k], [w, k]: where in x each tap falls
        places = rows[:, None, :, None] * x.shape[2] + columns[:, None, :]
        patches = take(x.reshape(x.shape[0], -1, x.shape[3]), tuple(places.ravel().tolist()))
        # two axes, not four: for gradients of products over several axes XLA transposes a copy of all weights
        y = jnp.dot(patches.reshape(-1, kernel.size // kernel.shape[-1]), kernel.reshape(-1, kernel.shape[-1]))
        return y.reshape(x.shape[0], h, w, -1)
    x = pad(x, padding, mode)
    if stride == 1 and k == winograd.TAPS:
        return winograd.convolve(x, kernel)
    if is_thin(kernel.shape, stride):
        return thin_convolution(x, kernel)
    return dense_convolution(stride, x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def take(x: jax.Array, places: tuple[int, ...]) -> jax.Array:
    """x [B, n, C] -> [B, places, C]. Its gradient is a gather and a sum; XLA's own is a loop of additions."""
    return x.at[:, np.array(places)].get(mode='promise_in_bounds')


def take_forward(x: jax.Array, places: tuple[int, ...]) -> tuple[jax.Array, int]:
    """Output and n."""
    return take(x, places), x.shape[1]


def take_backward(places: tuple[int, ...], n: int, dy: jax.Array) -> tuple[jax.Array]:
    """Each element's gradient is the sum over the places that read it."""
    counts = np.bincount(places, minlength=n)
    order = np.argsort(places, kind='stable')
    nth = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    readers = np.full((n, counts.max()), len(places))  # [n, most]; one past the last is none
    readers[np.array(places)[order], nth] = order
    read = dy.at[:, np.minimum(readers, len(places) - 1)].get(mode='promise_in_bounds')  # [B, n, most, C]
    return (jnp.sum(read, axis=2, where=(readers < len(places))[:, :, None]),)


take.defvjp(take_forward, take_backward)


def by_rows(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """`stock`, as one product for each row of the square kernel where each output has MANY_WEIGHTS."""
    k, features = kernel.shape[0], kernel.shape[3]
    if kernel.size // features <= MANY_WEIGHTS:
        return stock(x, kernel, stride)
    h, w = ((n - k) // stride + 1 for n in x.shape[1:3])
    columns, sums = columns_of(x, k, w, stride), jnp.promote_types(x.dtype, jnp.float32)
    return sum(
        jnp.dot(
            columns[:, i : i + stride * (h - 1) + 1 : stride], kernel[i].reshape(-1, features), preferred_element_type=sums
        )
        for i in range(k)
    ).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def dense_convolution(stride: int, x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of x [B, ., ., in] with kernel [k, k, in, out], with gradients of its own."""
    return by_rows(x, kernel, stride)


def forward(stride: int, x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Output and what the gradients need."""
    return dense_convolution(stride, x, kernel), (x, kernel)


def backward(stride: int, saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradient to x as a convolution with the transposed kernel, to the kernel as one product for each of its rows."""
    x, kernel = saved
    (k, _, channels, features), (h, w) = kernel.shape, dy.shape[1:3]
    if stride == 1:
        dx = by_rows(zero_pad(dy, k - 1), transposed(kernel))
    else:
        (dx,) = jax.linear_transpose(lambda x: stock(x, kernel, stride), x)(dy)
    # behind a dependency on dy, or XLA would slice x in the forward pass and hold the slices of all convolutions
    columns = columns_of(recompute_after(x, dy), k, w, stride)
    # as [out, k*in] over three axes: XLA transposes the first factor, dy, the smaller one; over one axis is slower here
    rows = [jnp.einsum('bhwo,bhwi->oi', dy, columns[:, i : i + stride * (h - 1) + 1 : stride]) for i in range(k)]
    return dx, jnp.stack(rows).reshape(k, features, k, channels).transpose(0, 2, 3, 1)


dense_convolution.defvjp(forward, backward)
