"""Inception features of any number of images of any size, on all devices."""

from collections.abc import Iterable

import jax
import numpy as np

from ugatit_jax.common import sharding
from ugatit_jax.evaluate.inception import features
from ugatit_jax.evaluate.inception_weights import InceptionWeights
from ugatit_jax.evaluate.resize import inception_input

BATCH = 16  # images at once; about 100 MB of activations


class FeatureExtractor:
    """InceptionV3 with its weights on every device of a mesh."""

    def __init__(self, weights: InceptionWeights, mesh: jax.sharding.Mesh, batch_size: int = BATCH):
        self.weights, self.mesh, self.batch_size = weights, mesh, batch_size
        replicated = sharding.replicated(mesh)
        self.params = jax.device_put(weights.params, replicated)
        self.apply = jax.jit(features, out_shardings=replicated)

    def __call__(self, images: Iterable[np.ndarray], protocol: str) -> np.ndarray:
        """Images, uint8 [H, W, 3] each of its own size -> float32 [n, 2048]."""
        rows = (inception_input(pixels, protocol) for pixels in images)
        batches = sharding.map_batches(lambda x: self.apply(self.params, x), rows, self.batch_size, self.mesh)
        return np.concatenate(list(batches))
