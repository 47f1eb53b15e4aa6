"""The generator's forward pass outside the train step, compiled: for previews, evaluation and translation alike."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from ugatit_jax.common.compiler import forward_options
from ugatit_jax.common.images import denormalize, normalize
from ugatit_jax.common.sharding import replicated
from ugatit_jax.models.generator import GeneratorOutput


@functools.cache
def compiled_generator(
    module: nn.Module, mesh: jax.sharding.Mesh | None = None
) -> Callable[[Any, jax.Array], GeneratorOutput]:
    """The compiled (params, images) -> GeneratorOutput of a generator; the same module gives the same function again.

    images: uint8, or floats in [-1, 1], [B, h, w, C]; the output's image is of the same type. With a mesh, images are
    sharded over it and outputs are replicated.
    """

    def apply(params: Any, images: jax.Array) -> GeneratorOutput:
        if images.dtype != jnp.uint8:
            return module.apply({'params': params}, images)
        out = module.apply({'params': params}, normalize(images))
        return out.replace(image=denormalize(out.image))

    sharding = None if mesh is None else replicated(mesh)
    return jax.jit(apply, out_shardings=sharding, compiler_options=forward_options())
