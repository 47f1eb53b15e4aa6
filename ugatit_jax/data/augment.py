"""All augmentation of training images, inside the compiled train step: crop and flip, optionally jitter and shifts.

The random numbers of an example follow from the step's key and its row in the global batch alone, so a batch that is
split over devices or processes is augmented as the whole one is. Not used in evaluation. Needs JAX only.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.common.images import normalize

Array = jax.Array


def augment(
    batch: dict[str, Array],
    key: Array,
    *,
    image_size: int,
    flip: float = 0.5,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    translate: float = 0.0,
) -> dict[str, Array]:
    """Crops, flips and normalises a batch of load-size images, each example and each domain on its own.

    batch is the global one, {'A': uint8 [B, load, load, channels_A], 'B': ...}; returns {'A': float32 [B, image_size,
    image_size, channels_A] in [-1, 1], 'B': ...}. With a load size of image_size there is nothing to crop. `flip` is the
    probability of a horizontal flip. The factors of brightness, contrast and saturation are uniform in 1 +- these amounts.
    `translate` shifts by up to this share of image_size, below 1, on top of the crop, and mirrors the border.
    """

    def one(pixels: Array, bits: Array) -> Array:  # [load, load, C], uint32 [8] -> [image_size, image_size, C]
        image = normalize(crop(pixels, image_size, translate, uniform(bits[4]) < flip, bits[:4]))
        if brightness or contrast or saturation:
            image = jitter(image, bits[5:], (brightness, contrast, saturation))
        return image

    bits = random_bits(key, batch['A'].shape[0])
    return {domain: jax.vmap(one)(batch[domain], bits[i]) for i, domain in enumerate('AB')}


def uniform(bits: Array) -> Array:
    """Random bits, uint32, to float32 in [0, 1): by their upper 24, as many as a float32 holds."""
    return (bits >> np.uint32(8)).astype(jnp.float32) * np.float32(2**-24)


def random_bits(key: Array, batch_size: int) -> Array:
    """All random bits of a batch, uint32 [2, B, 8] by domain, in one call: each generator takes time to compile."""

    def example(domain: Array, row: Array) -> Array:
        return jax.random.bits(jax.random.fold_in(jax.random.fold_in(key, domain), row), (8,), jnp.uint32)

    rows = jax.vmap(example, in_axes=(None, 0))
    return jax.vmap(rows, in_axes=(0, None))(jnp.arange(2), jnp.arange(batch_size))


def crop(pixels: Array, image_size: int, translate: float, mirrored: Array, bits: Array) -> Array:
    """A square of [load, load, C], mirrored or not, as one gather: slice, flip and pad take ten times as long on a CPU."""
    load = pixels.shape[0]
    places = load - image_size + 1
    corner = (bits[:2] % np.uint32(places)).astype(jnp.int32)  # 2**32 >> places: the remainder is fair enough
    reach = round(translate * image_size)
    corner = corner + (bits[2:4] % np.uint32(2 * reach + 1)).astype(jnp.int32) - reach
    along = jnp.arange(image_size)
    rows = reflected(corner[0] + along, load)
    columns = reflected(corner[1] + jnp.where(mirrored, along[::-1], along), load)
    return pixels.at[rows[:, None], columns].get(mode='promise_in_bounds')


def reflected(index: Array, size: int) -> Array:
    """Indices up to `size` outside [0, size), mirrored at the border pixels."""
    index = jnp.abs(index)
    return size - 1 - jnp.abs(size - 1 - index)


def jitter(image: Array, bits: Array, amounts: tuple[float, float, float]) -> Array:
    """Brightness, contrast and saturation of [h, w, C] in [-1, 1]; alpha stays, saturation needs three channels."""
    factors = 1.0 + jnp.array(amounts) * (2.0 * uniform(bits) - 1.0)
    channels = image.shape[-1]
    colour = image[..., :3] if channels == 4 else image
    colour = (colour + 1.0) * 0.5
    colour = colour * factors[0]
    mean = colour.mean()
    colour = mean + (colour - mean) * factors[1]
    if colour.shape[-1] == 3:
        grey = colour @ jnp.array([[0.299], [0.587], [0.114]], colour.dtype)  # luma of ITU-R BT.601, as Pillow's
        colour = grey + (colour - grey) * factors[2]
    colour = jnp.clip(colour, 0.0, 1.0) * 2.0 - 1.0
    return jnp.concatenate([colour, image[..., 3:]], axis=-1) if channels == 4 else colour
