"""EfficientNet-Lite0 features and distances of any number of images of any size, on all devices."""

from collections.abc import Iterable

import jax
import numpy as np

from ugatit_jax.common import sharding
from ugatit_jax.evaluate import effnet
from ugatit_jax.evaluate.effnet_weights import EffnetWeights
from ugatit_jax.evaluate.resize import effnet_input

BATCH = 16  # images at once; about 100 MB of activations


class EffnetExtractor:
    """EfficientNet-Lite0 with its weights on every device of a mesh."""

    def __init__(self, weights: EffnetWeights, mesh: jax.sharding.Mesh, batch_size: int = BATCH):
        self.weights, self.mesh, self.batch_size = weights, mesh, batch_size
        replicated = sharding.replicated(mesh)
        self.params = jax.device_put(weights.params, replicated)
        self.features = jax.jit(effnet.features, out_shardings=replicated)
        self.pair_distances = jax.jit(effnet.distances, out_shardings=replicated)

    def __call__(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Images, uint8 [H, W, 3] each of its own size -> float32 [n, 1280]."""
        rows = (effnet_input(pixels) for pixels in images)
        batches = sharding.map_batches(lambda x: self.features(self.params, x), rows, self.batch_size, self.mesh)
        return np.concatenate(list(batches))

    def distances(self, images: Iterable[np.ndarray], others: Iterable[np.ndarray]) -> np.ndarray:
        """Perceptual distances of images and others, uint8 [H, W, 3], in order: float32 [n]."""
        rows = (np.stack([effnet_input(image) for image in pair]) for pair in zip(images, others, strict=True))
        size = max(self.batch_size // 2, 1)
        batches = sharding.map_batches(lambda x: self.pair_distances(self.params, x), rows, size, self.mesh)
        return np.concatenate(list(batches))
