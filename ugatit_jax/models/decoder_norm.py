"""The norms that replace AdaLIN and LIN in the paper's ablations (Table 1): IN, LN, AdaIN and GN.

The paper calls these rows "only using IN (LN, AdaIN, GN) in decoder" and gives no formula. Read here as the network with
AdaLIN and nothing else changed:

- `in`, `ln`: equation 1 with rho fixed at 1 or 0, which is what the paper says these ends of rho are. The MLP's gamma and
  beta stay, so that what the row takes away is the choice between the two statistics, not the adaptive affine map.
- `gn`: group norm (Wu & He, 2018), between the two, with the same gamma and beta.
- `adain`: AdaIN as its authors define it, whom the paper cites (Huang & Belongie, 2017, equation 8): the affine map is the
  standard deviation and the mean of other features, not learned. These are the attended features that the MLP would have
  seen, so this row has no MLP. Whoever takes AdaIN for instance norm with gamma and beta of an MLP means `in`.

Up-sampling stages have gamma and beta of their own in every row, as LIN has; there is no adaptive map to replace.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.models.adalin import EPS, LIN, AdaLIN
from ugatit_jax.models.ops.moment_norm import instance_moments, moment_norm


def group_norm(x: jax.Array, groups: int, gamma: jax.Array, beta: jax.Array, ddof: int = 0, relu: bool = False) -> jax.Array:
    """gamma * (x - mean) / sqrt(var + eps) + beta over space and the channels of a group, per example.

    x [B, h, w, C], groups a divisor of C: C is instance norm, 1 layer norm; gamma, beta [B, 1, 1, C] or [C]; variances are
    divided by n - ddof.
    """
    affine_of = partial(group_affine, n=x.shape[1] * x.shape[2], groups=groups, ddof=ddof)
    return moment_norm(affine_of, relu, x, gamma, beta)


def group_affine(
    mean: jax.Array, variance: jax.Array, gamma: jax.Array, beta: jax.Array, *, n: int, groups: int, ddof: int
) -> tuple[jax.Array, jax.Array]:
    """Group norm of a map of n pixels with these moments [B, 1, 1, C] as (factor, offset) for `affine`.

    As in `adalin_affine`, a group's statistics come from those of its channels.
    """
    shape, size = mean.shape, mean.shape[3] // groups
    means, variances = (m.reshape(shape[0], 1, 1, groups, size) for m in (mean, variance))
    group_mean = jnp.mean(means, axis=-1, keepdims=True)
    group_variance = jnp.mean(variances + jnp.square(means - group_mean), axis=-1, keepdims=True)
    group_variance *= n * size / (n * size - ddof)
    group_mean, scale = (
        jnp.broadcast_to(m, means.shape).reshape(shape) for m in (group_mean, 1 / jnp.sqrt(group_variance + EPS))
    )
    return gamma * scale, beta + gamma * scale * (mean - group_mean)


def feature_statistics(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """AdaIN's gamma and beta: standard deviation and mean over space of features x [B, h, w, C], [B, C] each."""
    mean, variance = instance_moments(x)
    return jnp.sqrt(variance + EPS)[:, 0, 0], mean[:, 0, 0]


class AdaptiveNorm(nn.Module):
    """`in`, `ln`, `adain`, `gn` of the decoder's residual blocks: gamma, beta [B, C] from outside, nothing learned."""

    groups: int | None  # None: one for each channel
    ddof: int
    relu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, gamma: jax.Array, beta: jax.Array) -> jax.Array:
        groups = self.groups or x.shape[-1]
        return group_norm(x, groups, gamma[:, None, None], beta[:, None, None], self.ddof, self.relu)


class LearnedNorm(nn.Module):
    """`in`, `ln`, `gn` of an up-sampling stage, with learned gamma (1 at the start) and beta (0) per channel, as LIN."""

    groups: int | None
    ddof: int
    relu: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = x.shape[-1:]
        gamma = self.param('gamma', nn.initializers.ones_init(), shape, jnp.float32)
        beta = self.param('beta', nn.initializers.zeros_init(), shape, jnp.float32)
        return group_norm(x, self.groups or shape[0], gamma, beta, self.ddof, self.relu)


def decoder_norm(
    kind: str, groups: int, rho_init: float, smoothing: float, ddof: int
) -> Callable[..., AdaLIN | AdaptiveNorm]:
    """The norm of the residual blocks: a module, but for its name; `kind` is one of DECODER_NORMS."""
    if kind == 'adalin':
        return partial(AdaLIN, rho_init, smoothing, ddof)
    return partial(AdaptiveNorm, groups_of(kind, groups), ddof)


def up_norm(kind: str, groups: int, ddof: int) -> Callable[..., LIN | LearnedNorm]:
    """The norm of the up-sampling stages: a module, but for its name; `kind` is one of UP_NORMS."""
    return partial(LIN, ddof) if kind == 'lin' else partial(LearnedNorm, groups_of(kind, groups), ddof)


def groups_of(kind: str, groups: int) -> int | None:
    """Groups of a norm without rho, None for one for each channel."""
    return {'in': None, 'adain': None, 'ln': 1, 'gn': groups}[kind]
