"""Padding of pictures by reflection or repetition of what they have, NHWC."""
import jax
import jax.numpy as jnp

Padding = tuple[int, int]  # (before, after), the same for rows and columns


def pad(x: jax.Array, padding: Padding, mode: str = 'reflect') -> jax.Array:
    """Pads x [B, h, w, C] by (before, after) in both axes; raises ValueError where a reflection would not fit."""
    check_fit(x, padding, mode)
    return x if padding == (0, 0) else jnp.pad(x, ((0, 0), padding, padding, (0, 0)), mode)


def check_fit(x: jax.Array, padding: Padding, mode: str) -> None:
    """Raises ValueError where a reflection by `padding` would not fit x [B, h, w, C]."""
    # jnp.pad reflects repeatedly where torch and TensorFlow refuse
    if mode == 'reflect' and max(padding) >= min(x.shape[1:3]):
        raise ValueError(f'reflect padding {padding} needs more than {max(padding)} pixels a side, got {x.shape[1:3]}')
