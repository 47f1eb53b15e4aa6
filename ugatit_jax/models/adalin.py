"""Instance norm, LIN and AdaLIN (paper, section 2.1); the norms of the paper's ablations are in decoder_norm.py."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.models.ops.moment_norm import moment_norm

EPS = 1e-5  # inside the square root, in both releases


def instance_norm(
    x: jax.Array, scale: jax.Array | float = 1, offset: jax.Array | float = 0, relu: bool = False
) -> jax.Array:
    """(x - mean) / sqrt(var + eps) * scale + offset over space per channel; x [B, h, w, C], scale, offset [C]."""
    return moment_norm(instance_affine, relu, x, scale, offset)


def instance_affine(
    mean: jax.Array, variance: jax.Array, scale: jax.Array | float = 1, offset: jax.Array | float = 0
) -> tuple[jax.Array, jax.Array]:
    """Instance norm of a map with these moments [B, 1, 1, C] as (factor, offset) for `affine`."""
    del mean
    return scale / jnp.sqrt(variance + EPS), offset


def adalin(
    x: jax.Array,
    rho: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    smoothing: float = 0.0,
    ddof: int = 0,
    relu: bool = False,
) -> jax.Array:
    """gamma * (rho * a_IN + (1 - rho) * a_LN) + beta (paper, equation 1) with rho used as clip(rho - smoothing, 0, 1).

    x [B, h, w, C]; rho [C]; gamma, beta [B, 1, 1, C] or [C]; variances are divided by n - ddof.
    """
    affine_of = functools.partial(adalin_affine, n=x.shape[1] * x.shape[2], smoothing=smoothing, ddof=ddof)
    return moment_norm(affine_of, relu, x, rho, gamma, beta)


def adalin_affine(
    mean: jax.Array,
    variance: jax.Array,
    rho: jax.Array,
    gamma: jax.Array,
    beta: jax.Array,
    *,
    n: int,
    smoothing: float = 0.0,
    ddof: int = 0,
) -> tuple[jax.Array, jax.Array]:
    """AdaLIN of a map of n pixels with these moments [B, 1, 1, C] as (factor, offset) for `affine`.

    With channel means m and variances v, the layer's mean is mean(m) and its variance mean(v) + var(m).
    """
    if smoothing:  # the TensorFlow release's option; without it rho is in [0, 1] already, by the step's clip
        rho = jnp.clip(rho - smoothing, 0, 1)
    layer_mean = jnp.mean(mean, axis=-1, keepdims=True)
    layer_variance = jnp.mean(variance + jnp.square(mean - layer_mean), axis=-1, keepdims=True)
    n_layer = n * mean.shape[-1]
    instance = rho / jnp.sqrt(variance * (n / (n - ddof)) + EPS)  # [B, 1, 1, C]
    layer = (1 - rho) / jnp.sqrt(layer_variance * (n_layer / (n_layer - ddof)) + EPS)
    return gamma * (instance + layer), beta + gamma * layer * (mean - layer_mean)


class InstanceNorm(nn.Module):
    """Instance norm with learned scale and offset per channel where `use_affine`; then ReLU where `relu`."""

    use_affine: bool
    relu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.use_affine:
            return instance_norm(x, relu=self.relu)
        shape = x.shape[-1:]
        scale = self.param('scale', nn.initializers.ones_init(), shape, jnp.float32)
        bias = self.param('bias', nn.initializers.zeros_init(), shape, jnp.float32)
        return instance_norm(x, scale, bias, self.relu)


class AdaLIN(nn.Module):
    """AdaLIN with gamma, beta [B, C] from outside and a learned rho [C], which the train step clips to [0, 1]."""

    rho_init: float
    smoothing: float
    ddof: int
    relu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, gamma: jax.Array, beta: jax.Array) -> jax.Array:
        rho = self.param('rho', nn.initializers.constant(self.rho_init), x.shape[-1:], jnp.float32)
        return adalin(x, rho, gamma[:, None, None], beta[:, None, None], self.smoothing, self.ddof, self.relu)


class LIN(nn.Module):
    """AdaLIN with learned gamma (1 at the start), beta (0) and rho (0) per channel; never smoothed."""

    ddof: int
    relu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = x.shape[-1:]
        rho = self.param('rho', nn.initializers.zeros_init(), shape, jnp.float32)
        gamma = self.param('gamma', nn.initializers.ones_init(), shape, jnp.float32)
        beta = self.param('beta', nn.initializers.zeros_init(), shape, jnp.float32)
        return adalin(x, rho, gamma, beta, ddof=self.ddof, relu=self.relu)
