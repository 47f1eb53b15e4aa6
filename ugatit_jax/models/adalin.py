"""Instance norm, LIN and AdaLIN: normalisation by per-channel and per-picture statistics (paper, section 2.1).

The paper's ablations of them are in decoder_norm.py.
"""
import jax
import jax.numpy as jnp
from flax import linen as nn

EPS = 1e-5  # inside the square root, in both releases


def instance_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over space of x [B, h, w, C]: two [B, 1, 1, C], at least float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # one pass over x for both; from its first pixel on, or the difference of squares would lose a small variance
    origin = jax.lax.stop_gradient(x[:, :1, :1])
    x = x - origin
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    mean_of_squares = jnp.mean(jnp.square(x), axis=(1, 2), keepdims=True)
    return mean + origin, jnp.maximum(mean_of_squares - jnp.square(mean), 0)  # rounding may go below 0


def affine(x: jax.Array, scale: jax.Array, offset: jax.Array) -> jax.Array:
    """x * scale + offset in the statistics' precision, returned in that of x [B, h, w, C]."""
    return (x * scale + offset).astype(x.dtype)


def instance_norm(x: jax.Array, scale: jax.Array | float = 1, offset: jax.Array | float = 0) -> jax.Array:
    """(x - mean) / sqrt(var + eps) * scale + offset over space per channel; x [B, h, w, C], scale, offset [C]."""
    return affine(x, *instance_affine(*instance_moments(x), scale, offset))


def instance_affine(
    mean: jax.Array, variance: jax.Array, scale: jax.Array | float = 1, offset: jax.Array | float = 0
) -> tuple[jax.Array, jax.Array]:
    """Instance norm of a map with these moments [B, 1, 1, C] as (factor, offset) for `affine`."""
    factor = scale / jnp.sqrt(variance + EPS)
    return factor, offset - mean * factor


def adalin(
    x: jax.Array, rho: jax.Array, gamma: jax.Array, beta: jax.Array, smoothing: float = 0.0, ddof: int = 0
) -> jax.Array:
    """gamma * (rho * a_IN + (1 - rho) * a_LN) + beta (paper, equation 1) with rho used as clip(rho - smoothing, 0, 1).

    x [B, h, w, C]; rho [C]; gamma, beta [B, 1, 1, C] or [C]; variances are divided by n - ddof.
    """
    n = x.shape[1] * x.shape[2]
    return affine(x, *adalin_affine(*instance_moments(x), n, rho, gamma, beta, smoothing, ddof))


def adalin_affine(
    mean: jax.Array, variance: jax.Array, n: int, rho: jax.Array, gamma: jax.Array, beta: jax.Array,
    smoothing: float = 0.0, ddof: int = 0,
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
    return gamma * (instance + layer), beta - gamma * (instance * mean + layer * layer_mean)


class InstanceNorm(nn.Module):
    """Instance norm with learned scale and offset per channel where `use_affine`."""
    use_affine: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if not self.use_affine:
            return instance_norm(x)
        shape = x.shape[-1:]
        scale = self.param('scale', nn.initializers.ones_init(), shape, jnp.float32)
        return instance_norm(x, scale, self.param('bias', nn.initializers.zeros_init(), shape, jnp.float32))


class AdaLIN(nn.Module):
    """AdaLIN with gamma, beta [B, C] from outside and a learned rho [C], which the train step clips to [0, 1]."""
    rho_init: float
    smoothing: float
    ddof: int

    @nn.compact
    def __call__(self, x: jax.Array, gamma: jax.Array, beta: jax.Array) -> jax.Array:
        rho = self.param('rho', nn.initializers.constant(self.rho_init), x.shape[-1:], jnp.float32)
        return adalin(x, rho, gamma[:, None, None], beta[:, None, None], self.smoothing, self.ddof)


class LIN(nn.Module):
    """AdaLIN with learned gamma (1 at the start), beta (0) and rho (0) per channel; never smoothed."""
    ddof: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = x.shape[-1:]
        rho = self.param('rho', nn.initializers.zeros_init(), shape, jnp.float32)
        gamma = self.param('gamma', nn.initializers.ones_init(), shape, jnp.float32)
        beta = self.param('beta', nn.initializers.zeros_init(), shape, jnp.float32)
        return adalin(x, rho, gamma, beta, ddof=self.ddof)
