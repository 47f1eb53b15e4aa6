"""Inception features of any number of images of any size, over all devices."""

from collections.abc import Iterable

import jax
import numpy as np

from ugatit_jax import sharding
from ugatit_jax.evaluate.inception import features
from ugatit_jax.evaluate.resize import prepare
from ugatit_jax.evaluate.weights import Weights

BATCH = 16  # images at once; some 100 MB of activations


class Extractor:
    """InceptionV3 with its weights on every device of a mesh."""

    def __init__(self, weights: Weights, mesh: jax.sharding.Mesh, batch_size: int = BATCH):
        self.weights, self.mesh, self.batch_size = weights, mesh, batch_size
        everywhere = sharding.replicated(mesh)
        self.params = jax.device_put(weights.params, everywhere)
        self.apply = jax.jit(features, out_shardings=everywhere)

    def __call__(self, images: Iterable[np.ndarray], protocol: str) -> np.ndarray:
        """Images, uint8 [H, W, 3] each of its own size -> float32 [n, 2048]."""
        rows = (prepare(pixels, protocol) for pixels in images)
        batches = sharding.map_batches(lambda x: self.apply(self.params, x), rows, self.batch_size, self.mesh)
        return np.concatenate(list(batches))
