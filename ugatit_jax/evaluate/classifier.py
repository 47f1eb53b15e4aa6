"""Domain accuracy: how many fakes a small classifier of A against B, independent of the GAN, takes for their target.

It needs no downloaded weights: it is trained in seconds on the training images. Its accuracy on real test images is reported
beside the domain accuracy, as a measure of how reliable that is.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from ugatit_jax.common.images import normalize
from ugatit_jax.data.preprocess import fit_square

# chosen so that it trains in seconds on two CPU cores and tells the faces of synthetic:faces apart without errors
SIDE = 64  # pixels of its input
MAX_TRAINING_IMAGES = 400  # of each domain
STEPS = 400
BATCH = 16  # images of each domain
LEARNING_RATE = 3e-3  # of Adam at the start; cosine decay to 0
RELIABLE = 0.9  # accuracy on real images; below it domain accuracy measures the classifier more than the fakes


class ClassifierNetwork(nn.Module):
    """images [B, 64, 64, 3] in [-1, 1] -> logit [B], above 0 for domain B."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for features in (16, 32, 64):
            x = nn.relu(nn.Conv(features, (3, 3), (2, 2))(x))
        x = jnp.concatenate([x.mean((1, 2)), x.max((1, 2))], axis=-1)
        return nn.Dense(1)(x)[:, 0]


class Classifier:
    """A trained ClassifierNetwork."""

    def __init__(self, params: Any):
        self.params, self.apply = params, jax.jit(ClassifierNetwork().apply)

    def logits(self, images: Iterable[np.ndarray], domain: str) -> np.ndarray:
        """Log odds that images (uint8 [H, W, 3], any size) are of `domain`: [n]."""
        x, sign = classifier_input(images), 1 if domain == 'B' else -1
        chunks = []
        for start in range(0, len(x), BATCH):
            chunk = x[start : start + BATCH]
            padded = np.concatenate([chunk, np.zeros((BATCH - len(chunk), *chunk.shape[1:]), np.float32)])
            chunks.append(np.asarray(self.apply(self.params, padded))[: len(chunk)])
        return sign * np.concatenate(chunks)


def mean_accuracy(classifier: Classifier, images: dict[str, Iterable[np.ndarray]]) -> float:
    """The accuracy on images by domain, uint8 [H, W, 3]: the mean of both domains' accuracies, however many each has."""
    return float(np.mean([np.mean(classifier.logits(images[domain], domain) > 0) for domain in 'AB']))


def reliability_notes(accuracy: float) -> list[str]:
    """A warning beside domain accuracy where the classifier's accuracy on real images is below RELIABLE, else none."""
    if accuracy >= RELIABLE:
        return []
    return [f'domain accuracy is unreliable: its classifier is right on only {accuracy:.1%} of the real images']


def reliability_mark(accuracy: float | None) -> str:
    """What stands behind a number of domain accuracy: ' (unreliable)' where the classifier is below RELIABLE, else ''."""
    return ' (unreliable)' if accuracy is not None and accuracy < RELIABLE else ''


def classifier_input(images: Iterable[np.ndarray]) -> np.ndarray:
    """Images, uint8 [H, W, 3] each of its own size -> float32 [n, 64, 64, 3] in [-1, 1]."""
    return normalize(np.stack([fit_square(pixels, SIDE) for pixels in images]))


def train_classifier(images_A: Iterable[np.ndarray], images_B: Iterable[np.ndarray], seed: int) -> Classifier:
    """Trains on images uint8 [H, W, 3] of A and of B; deterministic given images and seed."""
    real = [classifier_input(images_A), classifier_input(images_B)]
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, STEPS))
    network = ClassifierNetwork()
    params = jax.jit(network.init)(jax.random.key(seed), real[0][:1])
    random = np.random.default_rng(seed)
    labels = jnp.repeat(jnp.arange(2.0), BATCH)

    @jax.jit
    def step(params: Any, state: Any, images: jax.Array) -> tuple[Any, Any]:
        def loss(params: Any) -> jax.Array:
            return optax.sigmoid_binary_cross_entropy(network.apply(params, images), labels).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, updates), state

    state = jax.jit(optimizer.init)(params)
    for _ in range(STEPS):
        images = np.concatenate([x[random.integers(len(x), size=BATCH)] for x in real])
        flipped = random.random(len(images)) < 0.5  # horizontal flips
        images[flipped] = images[flipped, :, ::-1]
        params, state = step(params, state, images)
    return Classifier(params)
