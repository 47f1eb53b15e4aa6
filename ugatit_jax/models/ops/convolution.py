"""Convolutions with reflect padding, NHWC and HWIO, and the up-sampling convolution in sub-pixel form."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.common.compiler import on_cpu, on_tpu
from ugatit_jax.models.initializers import bias_init, kernel_init
from ugatit_jax.models.ops import cpu_convolution
from ugatit_jax.models.ops.padding import Padding, pad
from ugatit_jax.models.ops.stock_convolution import stock
from ugatit_jax.models.ops.thin_convolution import is_thin, thin_convolution


def convolve(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: Padding = (0, 0), mode: str = 'reflect'
) -> jax.Array:
    """Convolution of x [B, h, w, in], padded by `pad`, with kernel [kh, kw, in, out]."""
    if on_cpu():
        return cpu_convolution.convolve(x, kernel, stride, padding, mode)
    x = pad(x, padding, mode)
    if on_tpu() and is_thin(kernel.shape, stride):
        return thin_convolution(x, kernel)
    return stock(x, kernel, stride)


class Conv(nn.Module):
    """Reflect padding, then convolution: [B, h, w, in] -> [B, h', w', features]."""

    features: int
    kernel_size: int
    stride: int = 1
    padding: Padding = (0, 0)
    use_bias: bool = True
    weight_init: str = 'normal'
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = conv_params(self, x.shape[-1])
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
        return y if bias is None else y + bias.astype(self.dtype)


class UpConv(nn.Module):
    """Nearest x2, reflect pad 1, convolution 3x3: [B, h, w, in] -> [B, 2h, 2w, features].

    Computed, exactly, on the small image: after nearest x2 the three taps of an even output fall on pixels
    (i - 1, i, i), of an odd one on (i, i, i + 1), so each of the four phases is a 2x2 convolution, and the reflection
    of the large image is the edge of the small one. 2.25 times fewer operations and no large intermediate.
    """

    features: int
    use_bias: bool = True
    weight_init: str = 'normal'
    dtype: jnp.dtype = jnp.float32
    kernel_size: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = conv_params(self, x.shape[-1])
        # [B, h + 1, w + 1, 4 features]
        y = convolve(x.astype(self.dtype), subpixel_kernel(kernel).astype(self.dtype), 1, (1, 1), 'edge')
        b, h, w, _ = y.shape
        y = y.reshape(b, h, w, 2, 2, self.features)
        y = interleave_phases([[y[:, i : h - 1 + i, j : w - 1 + j, i, j] for j in (0, 1)] for i in (0, 1)])
        return y if bias is None else y + bias.astype(self.dtype)


def interleave_phases(rows: list[list[jax.Array]]) -> jax.Array:
    """Phases [i][j], [B, h, w, C] each -> [B, 2h, 2w, C]: the pixels (2r + i, 2c + j) are those of phase (i, j)."""
    b, h, w, channels = rows[0][0].shape
    y = jnp.stack([jnp.stack(row, axis=3) for row in rows], axis=2)  # [B, h, 2, w, 2, C]
    return y.reshape(b, 2 * h, 2 * w, channels)


def subpixel_kernel(kernel: jax.Array) -> jax.Array:
    """3x3 kernel [3, 3, in, out] -> four 2x2 kernels [2, 2, in, 4 out], phases (row, column) before features."""
    # taps of one axis: phase 0 is [w0, w1 + w2], phase 1 is [w0 + w1, w2]
    taps = jnp.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], kernel.dtype)  # [phase, tap, of three]
    small = jnp.einsum('pah,qbw,hwio->abipqo', taps, taps, kernel, precision='highest')
    return small.reshape(2, 2, kernel.shape[2], 4 * kernel.shape[3])


def conv_params(module: nn.Module, channels: int) -> tuple[jax.Array, jax.Array | None]:
    """Creates kernel [k, k, channels, features] and bias [features], or None, in `module`."""
    shape = (module.kernel_size, module.kernel_size, channels, module.features)
    kernel = module.param('kernel', kernel_init(module.weight_init), shape, jnp.float32)
    if not module.use_bias:
        return kernel, None
    fan_in = module.kernel_size**2 * channels
    return kernel, module.param('bias', bias_init(module.weight_init, fan_in), (module.features,), jnp.float32)
