"""Normalisation by an image's own moments as one affine map per channel, with a hand-written gradient."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from ugatit_jax.common.compiler import on_cpu, optimization_barrier, recompute_after

# (mean, variance [B, 1, 1, C], *parameters) -> (factor, offset) of `affine`, each broadcastable to the moments
AffineOf = Callable[..., tuple[jax.Array, jax.Array]]


def instance_moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over space of x [B, h, w, C]: two [B, 1, 1, C], at least float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # both in one pass, E[x^2] - E[x]^2, after subtracting the first pixel: without it a small variance cancels out
    origin = jax.lax.stop_gradient(x[:, :1, :1])
    x = x - origin
    n = x.shape[1] * x.shape[2]
    mean, mean_of_squares = (total / n for total in spatial_sums(x, jnp.square(x)))
    return mean + origin, jnp.maximum(mean_of_squares - jnp.square(mean), 0)  # rounding may go below 0


def spatial_sums(*maps: jax.Array) -> tuple[jax.Array, ...]:
    """Sums over space of maps [B, h, w, C]: [B, 1, 1, C] each.

    On accelerators in two reductions, columns first: one reduction to a few hundred channels cannot fill a GPU, and XLA
    then writes its inputs to memory in float32 instead of fusing them into the reduction.
    """
    if on_cpu():
        return tuple(jnp.sum(x, axis=(1, 2), keepdims=True) for x in maps)
    rows = optimization_barrier(tuple(jnp.sum(x, axis=2, keepdims=True) for x in maps))
    return tuple(jnp.sum(x, axis=1, keepdims=True) for x in rows)


def affine(x: jax.Array, mean: jax.Array, factor: jax.Array, offset: jax.Array) -> jax.Array:
    """(x - mean) * factor + offset of x [B, h, w, C], in the dtype of the statistics."""
    return (x.astype(mean.dtype) - mean) * factor + offset


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def moment_norm(affine_of: AffineOf, relu: bool, x: jax.Array, *parameters: jax.Array) -> jax.Array:
    """`affine` of x [B, h, w, C] with affine_of(mean, variance, *parameters) of x's own moments, then ReLU where `relu`.

    The gradient saves only x for the backward pass; autodiff would also save a scaled copy of it and ReLU's mask.
    """
    return moment_norm_forward(affine_of, relu, x, *parameters)[0]


def moment_norm_forward(affine_of: AffineOf, relu: bool, x: jax.Array, *parameters: jax.Array) -> tuple[jax.Array, tuple]:
    """The output and the residuals of the gradient."""
    mean, variance = instance_moments(x)
    y = affine(x, mean, *affine_of(mean, variance, *parameters))
    return (jax.nn.relu(y) if relu else y).astype(x.dtype), (x, mean, variance, parameters)


def moment_norm_backward(affine_of: AffineOf, relu: bool, saved: tuple, dy: jax.Array) -> tuple[jax.Array, ...]:
    """Gradients to x and the parameters: the direct path, and the path through the moments."""
    x, mean, variance, parameters = saved

    def broadcast(*moments_and_parameters: jax.Array) -> tuple[jax.Array, jax.Array]:
        factor, offset = affine_of(*moments_and_parameters)
        return jnp.broadcast_to(factor, mean.shape), jnp.broadcast_to(offset, mean.shape)

    (factor, offset), vjp = jax.vjp(broadcast, mean, variance, *parameters)
    mean = recompute_after(mean, dy)  # or XLA would keep x - mean of the forward pass, one map more

    def before_affine(x: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
        centred, dy = x.astype(mean.dtype) - mean, dy.astype(mean.dtype)
        return centred, jnp.where(centred * factor + offset > 0, dy, 0) if relu else dy

    centred, dy_affine = before_affine(x, dy)
    d_offset, d_factor = spatial_sums(dy_affine, dy_affine * centred)
    d_mean, d_variance, *d_parameters = vjp((d_factor, d_offset))
    n = x.shape[1] * x.shape[2]
    centred, dy = before_affine(*optimization_barrier((x, dy)))  # recomputed, or accelerators would store both for the sums
    dx = dy * factor + (d_mean - factor * d_offset) / n + centred * (2 / n * d_variance)
    return dx.astype(x.dtype), *d_parameters


moment_norm.defvjp(moment_norm_forward, moment_norm_backward)
