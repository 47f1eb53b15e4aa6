"""Spectral normalisation (Miyato et al., 2018) with u and v as explicit state.

Modules only read u and v; `advance` makes one power iteration for every normalised kernel of a network. As that needs the
weights alone, a step computes u and v of all its forwards in advance and runs real and fake images in one batch.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.common import compiler
from ugatit_jax.models.ops.convolution import conv_params, convolve
from ugatit_jax.models.ops.padding import Padding

COLLECTION = 'spectral'  # {path of a normalised kernel: {'u': [groups, out], 'v': [groups, k*k*in]}}
EPS = 1e-12  # both releases


def unit(x: jax.Array) -> jax.Array:
    """x / max(norm of x, 1e-12)."""
    return x / jnp.maximum(jnp.linalg.norm(x), EPS)


def power_iteration(kernel: jax.Array, u: jax.Array) -> dict[str, jax.Array]:
    """One iteration: v = unit(W u), u = unit(v W) with W = kernel as [k*k*in, out] and u [out]; returns u and v."""
    matrix = jax.lax.stop_gradient(kernel).reshape(-1, kernel.shape[-1])
    v = unit(jnp.dot(matrix, u, precision='highest'))
    return {'u': unit(jnp.dot(v, matrix, precision='highest')), 'v': v}


def advance(params: Mapping[str, Any], spectral: Mapping[str, Any]) -> dict[str, Any]:
    """u and v after one power iteration for every kernel of networks, `params`; `spectral` without the group axis."""
    if 'u' in spectral:  # spectral is {} where spectral normalisation is off
        return power_iteration(params['kernel'], spectral['u'])
    return {name: advance(params[name], spectral[name]) for name in spectral}


def power_iteration_steps(params: Mapping[str, Any], spectral: Mapping[str, Any], times: int) -> Any:
    """u and v after each of `times` power iterations, leaf [times, n]: a group for each forward, as modules read them."""

    def once(spectral: Any, _: None) -> tuple[Any, Any]:
        spectral = advance(params, spectral)
        return spectral, spectral

    # a loop on a CPU, where it compiles faster
    return jax.lax.scan(once, spectral, length=times, unroll=1 if compiler.single_cpu_device() else times)[1]


def select_group(spectral: Mapping[str, Any], group: int = 0) -> Any:
    """u and v of one forward, without the group axis; see `power_iteration_steps`."""
    return jax.tree.map(lambda leaf: leaf[group], spectral)


def sigma(module: nn.Module, kernel: jax.Array, batch: int) -> jax.Array:
    """Spectral norm v W u of `kernel` for each of `batch` rows, [batch]; u and v are constants for the gradient.

    Row r belongs to group r % groups, so that the rows of one example stay on one device.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])

    def init() -> jax.Array:
        return unit(jax.random.normal(module.make_rng('params'), matrix.shape[1:], jnp.float32))[None]

    u = module.variable(COLLECTION, 'u', init).value
    v = module.variable(COLLECTION, 'v', lambda: unit(jnp.dot(u, matrix.T))).value
    groups = norms(matrix, u, v)
    return jnp.tile(groups, batch // groups.shape[0])


@jax.custom_vjp
def norms(matrix: jax.Array, u: jax.Array, v: jax.Array) -> jax.Array:
    """v W u of each group, [groups], for W [n, out], u [groups, out] and v [groups, n]; no gradient to u and v."""
    return jnp.sum(jnp.dot(v, matrix, precision='highest') * u, axis=1)


def norms_backward(saved: tuple[jax.Array, jax.Array], d_norms: jax.Array) -> tuple[jax.Array, None, None]:
    """Gradient to W [n, out] as a sum over groups: XLA fuses it into W's other gradient, a product would be one more W."""
    return sum(d * v[:, None] * u for d, u, v in zip(d_norms, *saved, strict=True)), None, None


norms.defvjp(lambda matrix, u, v: (norms(matrix, u, v), (u, v)), norms_backward)


class SpectralConv(nn.Module):
    """Reflect padding, convolution by kernel / sigma: [B, h, w, in] -> [B, h', w', features]."""

    features: int
    kernel_size: int
    stride: int
    padding: Padding
    use_bias: bool = True
    weight_init: str = 'normal'
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel, bias = conv_params(self, x.shape[-1])
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, self.padding)
        # sigma on the output, not the kernel: rows of one batch may have different ones
        y = y * (1 / sigma(self, kernel, x.shape[0]))[:, None, None, None].astype(self.dtype)
        return y if bias is None else y + bias.astype(self.dtype)
