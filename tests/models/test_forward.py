"""The compiled forward pass of a generator."""

import jax
import numpy as np

from tests.helpers.small import small_generator
from ugatit_jax.models.forward import compiled_generator


def test_on_a_cpu_no_product_is_left_to_a_library():
    generator = small_generator()
    images = np.zeros((1, 32, 32, 3), np.uint8)
    params = jax.jit(generator.init)(jax.random.key(0), images.astype(np.float32))['params']

    def libraries_products(compiled) -> int:
        return compiled.lower(params, images).compile().as_text().count('"__ynn_fusion"')

    plain = jax.jit(lambda params, images: generator.apply({'params': params}, images))
    assert libraries_products(compiled_generator(generator)) < libraries_products(plain)
