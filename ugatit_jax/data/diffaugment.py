"""Differentiable augmentation of what the discriminators see, for small data sets (Zhao et al., NeurIPS 2020).

The same policy is applied to real and generated images in the discriminator's and in the generator's loss, and gradients
pass through it. Amounts as in the authors' release: brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5, shifts up to
1/8, a hole of half the side. Needs JAX only.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.config.derived import POLICIES
from ugatit_jax.data.augment import uniform

MAX_SHIFT = 0.125  # of the side; the authors'
HOLE = 0.5  # of the side; the authors'

Array = jax.Array


def diffaugment(images: Array, key: Array, policy: tuple[str, ...], rows: Array | None = None) -> Array:
    """Augments images [B, h, w, C] in [-1, 1], each row on its own; the result may leave [-1, 1], as in the release.

    rows, int [B], are the images' places in a larger batch, which their random numbers follow from; 0 to B - 1 by default.
    """
    if not policy:
        return images

    def one(image: Array, row: Array) -> Array:  # [h, w, C]
        bits = jax.random.bits(jax.random.fold_in(key, row), (7,), jnp.uint32)  # one call for all: quicker to compile
        for name in policy:
            if name == 'color':
                image = color(image, bits[:3])
            elif name == 'translation':
                image = translate(image, bits[3:5])
            elif name == 'cutout':
                image = cut_out(image, bits[5:])
            else:
                raise ValueError(f'{name!r} is not one of {POLICIES}')
        return image

    return jax.vmap(one)(images, jnp.arange(images.shape[0]) if rows is None else rows)


def color(image: Array, bits: Array) -> Array:
    """Brightness, saturation and contrast, in the release's order."""
    amount = uniform(bits).astype(image.dtype)
    image = image + (amount[0] - 0.5)
    mean = image.mean(axis=-1, keepdims=True)
    image = mean + (image - mean) * (2.0 * amount[1])
    mean = image.mean()
    return mean + (image - mean) * (0.5 + amount[2])


def translate(image: Array, bits: Array) -> Array:
    """Shifts by whole pixels; zeros (mid grey) come in from outside."""
    height, width, channels = image.shape
    reach_y, reach_x = int(height * MAX_SHIFT + 0.5), int(width * MAX_SHIFT + 0.5)
    padded = jnp.pad(image, ((reach_y, reach_y), (reach_x, reach_x), (0, 0)))
    corner = random_integers(bits, 2 * reach_y + 1, 2 * reach_x + 1)
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], jnp.int32(0)), (height, width, channels))


def cut_out(image: Array, bits: Array) -> Array:
    """Sets a rectangle to zero; its centre may be anywhere, so part of it may lie outside."""
    height, width, _ = image.shape
    hole_y, hole_x = int(height * HOLE + 0.5), int(width * HOLE + 0.5)
    centre = random_integers(bits, height + 1 - hole_y % 2, width + 1 - hole_x % 2)
    y = jnp.arange(height)[:, None] - (centre[0] - hole_y // 2)
    x = jnp.arange(width)[None, :] - (centre[1] - hole_x // 2)
    inside = (y >= 0) & (y < hole_y) & (x >= 0) & (x < hole_x)
    return jnp.where(inside[..., None], jnp.zeros((), image.dtype), image)


def random_integers(bits: Array, height: int, width: int) -> Array:
    """Two random integers, int32 [2], in [0, height) and [0, width)."""
    return (bits % np.array([height, width], np.uint32)).astype(jnp.int32)
