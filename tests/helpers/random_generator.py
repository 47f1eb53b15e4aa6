"""A small generator with random weights, and what it makes of noise: for formats that are compared with JAX."""

from typing import Any, NamedTuple

import jax
import numpy as np

from tests.helpers.small import small_generator
from ugatit_jax.common.compiler import portable
from ugatit_jax.models.generator import Generator

SIDE = 32  # of small_generator


class RandomGenerator(NamedTuple):
    """genA2B, its parameters, images and what it makes of them."""

    module: Generator
    params: dict[str, Any]
    images: np.ndarray  # float32 [2, SIDE, SIDE, C]
    translated: np.ndarray


def random_generator(**fields: object) -> RandomGenerator:
    """Fields as model__n_res=2; no parameter is at its initial value, such as 0 or 1."""
    rng = np.random.default_rng(0)
    module = small_generator(**fields)
    images = rng.uniform(-1, 1, (2, SIDE, SIDE, fields.get('data__channels_A', 3))).astype(np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)['params']
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    return RandomGenerator(module, params, images, run(module, params, images))


def run(module: Generator, params: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """The generator in JAX, without the forms of one backend, which take longer to compile."""
    with portable():
        return np.asarray(jax.jit(lambda images: module.apply({'params': params}, images).image)(images))
