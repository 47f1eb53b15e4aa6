"""A generator as a JAX function for every kind of device, its weights inside."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from ugatit_jax.export.target import Target


def portable_generator(target: Target, weights: str) -> Callable[[jax.Array], jax.Array]:
    """images float32 [B, h, w, C] in [-1, 1] -> the same, translated; to be traced inside `compiler.portable`.

    weights: the dtype in which they are stored; everything is computed in float32. Residual blocks are unrolled: a loop
    slices their stacked weights, CPUs run convolutions slower in one, and TensorFlow's calibration crashes on one.
    """
    module = target.generator.clone(unroll=target.generator.n_res + 1)  # more than there are: else one block is a loop, too
    stored = jax.tree.map(lambda leaf: leaf.astype(weights), target.params)

    def translate(images: jax.Array) -> jax.Array:
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(jnp.float32), stored)
        return module.apply({'params': params}, images).image

    return translate
