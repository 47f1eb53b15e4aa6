"""The convolution that XLA has."""

import jax
from jax import lax


def stock(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """XLA's unpadded convolution of x [B, h, w, in] with kernel [k, k, in, out]."""
    return lax.conv_general_dilated(x, kernel, (stride, stride), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
