"""Reflect and edge padding of NHWC maps, with a gradient of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ugatit_jax.common.compiler import on_gpu

Padding = tuple[int, int]  # (before, after), the same for rows and columns


def pad(x: jax.Array, padding: Padding, mode: str = 'reflect') -> jax.Array:
    """Pads x [B, h, w, C] by (before, after) in both axes; raises ValueError where that does not fit.

    Modes: 'reflect', and 'edge' for paddings of at most 1.
    """
    check_fit(x, padding, mode)
    return x if padding == (0, 0) else padded(padding, mode, x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def padded(padding: Padding, mode: str, x: jax.Array) -> jax.Array:
    """The padded map. Its gradient is one sum; autodiff's is a chain of maps of the same size."""
    if on_gpu():  # a gather, which XLA fuses with the norm before it
        for axis in (1, 2):
            places = np.pad(np.arange(x.shape[axis]), padding, mode)
            x = x.at[(slice(None),) * axis + (places,)].get(mode='promise_in_bounds')
        return x
    return jnp.pad(x, ((0, 0), padding, padding, (0, 0)), mode)


def folded(padding: Padding, mode: str, _: None, dy: jax.Array) -> tuple[jax.Array]:
    """Gradient to x [B, h, w, C] from dy [B, h', w', C]: the border is added to the pixels that it was copied from."""
    before, after = padding
    first = 1 if mode == 'reflect' else 0  # the edge itself is not reflected
    for axis in (1, 2):
        n = dy.shape[axis] - before - after
        own = lax.slice_in_dim(dy, before, before + n, axis=axis)
        for start, size, place in ((0, before, first), (before + n, after, n - first - after)):
            if size:
                border = jnp.flip(lax.slice_in_dim(dy, start, start + size, axis=axis), axis)
                around = [(0, 0)] * dy.ndim
                around[axis] = (place, n - size - place)
                own += jnp.pad(border, around)
        dy = own
    return (dy,)


padded.defvjp(lambda padding, mode, x: (padded(padding, mode, x), None), folded)


def check_fit(x: jax.Array, padding: Padding, mode: str) -> None:
    """Raises ValueError for an unknown mode, and where `pad` would not fit x [B, h, w, C]."""
    if mode not in ('reflect', 'edge'):
        raise ValueError(f'padding mode {mode!r} is neither reflect nor edge')
    # jnp.pad reflects repeatedly where torch and TensorFlow refuse
    if mode == 'reflect' and any(max(padding) >= side for side in x.shape[1:3]):  # not min, which symbols do not have
        raise ValueError(f'reflect padding {padding} needs more than {max(padding)} pixels a side, got {x.shape[1:3]}')
    if mode == 'edge' and max(padding) > 1:
        raise ValueError(f'edge padding {padding} is more than 1')
