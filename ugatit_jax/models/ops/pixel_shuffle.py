"""Pixels to channels and back: what a layer sees of r x r pixels at once (ESPCN, Shi et al. 2016, and its inverse)."""

import jax


def pixel_unshuffle(x: jax.Array, r: int) -> jax.Array:
    """[B, h, w, C] -> [B, h/r, w/r, r r C]: channel (r i + j) C + c is channel c of the pixel (i, j) of each r x r."""
    if r == 1:
        return x
    b, h, w, channels = x.shape
    x = x.reshape(b, h // r, r, w // r, r, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // r, w // r, r * r * channels)


def pixel_shuffle(x: jax.Array, r: int) -> jax.Array:
    """The inverse of `pixel_unshuffle`: [B, h, w, r r C] -> [B, r h, r w, C]."""
    if r == 1:
        return x
    b, h, w, channels = x.shape
    x = x.reshape(b, h, w, r, r, channels // (r * r)).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, r * h, r * w, channels // (r * r))
