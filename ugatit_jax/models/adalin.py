"""Instance norm, LIN and AdaLIN: normalisation by per-channel and per-image statistics (paper, section 2.1).

The paper's ablations of them are in decoder_norm.py.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.compiler import on_cpu, optimization_barrier, recompute_after

EPS = 1e-5  # inside the square root, in both releases
# mean, variance [B, 1, 1, C] and parameters -> factor and offset for `affine`, each broadcast to the moments
AffineOf = Callable[..., tuple[jax.Array, jax.Array]]


def instance_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over space of x [B, h, w, C]: two [B, 1, 1, C], at least float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # one pass over x for both; from its first pixel on, or the difference of squares would lose a small variance
    origin = jax.lax.stop_gradient(x[:, :1, :1])
    x = x - origin
    n = x.shape[1] * x.shape[2]
    mean, mean_of_squares = (total / n for total in sums(x, jnp.square(x)))
    return mean + origin, jnp.maximum(mean_of_squares - jnp.square(mean), 0)  # rounding may go below 0


def sums(*maps: jax.Array) -> tuple[jax.Array, ...]:
    """Sums over space of maps [B, h, w, C], [B, 1, 1, C] each.

    Two programs on accelerators, first along rows: a GPU is not busy with the sums of a few hundred channels alone, so XLA
    rather writes the maps out, in float32, than computes them while it adds.
    """
    if on_cpu():
        return tuple(jnp.sum(x, axis=(1, 2), keepdims=True) for x in maps)
    rows = optimization_barrier(tuple(jnp.sum(x, axis=2, keepdims=True) for x in maps))
    return tuple(jnp.sum(x, axis=1, keepdims=True) for x in rows)


def affine(x: jax.Array, mean: jax.Array, factor: jax.Array, offset: jax.Array) -> jax.Array:
    """(x - mean) * factor + offset of x [B, h, w, C] in the statistics' precision."""
    return (x.astype(mean.dtype) - mean) * factor + offset


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def normalize(affine_of: AffineOf, relu: bool, x: jax.Array, *parameters: jax.Array) -> jax.Array:
    """`affine` of x [B, h, w, C] as affine_of(mean, variance, *parameters) says from x's own moments, relu after it or not.

    Its gradient is written out: for the backward pass it keeps x and nothing else of that size, where autodiff keeps a
    scaled copy and a mask as well.
    """
    return normalize_forward(affine_of, relu, x, *parameters)[0]


def normalize_forward(affine_of: AffineOf, relu: bool, x: jax.Array, *parameters: jax.Array) -> tuple[jax.Array, tuple]:
    """Output, and what the gradient needs."""
    mean, variance = instance_moments(x)
    y = affine(x, mean, *affine_of(mean, variance, *parameters))
    return (jax.nn.relu(y) if relu else y).astype(x.dtype), (x, mean, variance, parameters)


def normalize_backward(affine_of: AffineOf, relu: bool, saved: tuple, dy: jax.Array) -> tuple[jax.Array, ...]:
    """Gradients to x and the parameters: directly, and by way of the moments."""
    x, mean, variance, parameters = saved

    def broadcast(*moments_and_parameters: jax.Array) -> tuple[jax.Array, jax.Array]:
        factor, offset = affine_of(*moments_and_parameters)
        return jnp.broadcast_to(factor, mean.shape), jnp.broadcast_to(offset, mean.shape)

    (factor, offset), vjp = jax.vjp(broadcast, mean, variance, *parameters)
    # recomputed: XLA would keep the forward pass's difference, a map more, if it saw that it is the same
    mean = recompute_after(mean, dy)

    def before_affine(x: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        centred, dy = x.astype(mean.dtype) - mean, dy.astype(mean.dtype)
        return centred, jnp.where(centred * factor + offset > 0, dy, 0) if relu else dy

    centred, dy_affine = before_affine(x, dy)
    d_offset, d_factor = sums(dy_affine, dy_affine * centred)
    d_mean, d_variance, *d_parameters = vjp((d_factor, d_offset))
    n = x.shape[1] * x.shape[2]
    centred, dy = before_affine(*optimization_barrier((x, dy)))  # again, or accelerators would write both out for the sums
    dx = dy * factor + (d_mean - factor * d_offset) / n + centred * (2 / n * d_variance)
    return dx.astype(x.dtype), *d_parameters


normalize.defvjp(normalize_forward, normalize_backward)


def instance_norm(
    x: jax.Array, scale: jax.Array | float = 1, offset: jax.Array | float = 0, relu: bool = False
) -> jax.Array:
    """(x - mean) / sqrt(var + eps) * scale + offset over space per channel; x [B, h, w, C], scale, offset [C]."""
    return normalize(instance_affine, relu, x, scale, offset)


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
    return normalize(affine_of, relu, x, rho, gamma, beta)


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
