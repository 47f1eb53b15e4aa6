"""The learning-rate schedules of generators and discriminators."""

import math

import jax
import jax.numpy as jnp
import optax
from ml_collections import FrozenConfigDict as ConfigDict


def learning_rate(config: ConfigDict, kind: str = 'generator') -> optax.Schedule:
    """Rate of step number count + 1, of generators or discriminators: constant for a half, then linear to 0 (the releases).

    decay_epochs 0: lowered at every step, before the update, as the PyTorch release does. Otherwise a staircase of
    that many epochs, as the TensorFlow release does: lr * (epochs - epoch) / (epochs - epochs // 2). Other starts of the
    decay, cosine (lr * (1 + cos(pi * count / steps)) / 2) and constant rates are ours.
    """
    o, steps = config.optimizer, config.training.steps
    rate = o.learning_rate if kind == 'generator' or o.learning_rate_D is None else o.learning_rate_D
    rate *= config.data.batch_size ** {'none': 0, 'linear': 1, 'sqrt': 0.5}[o.batch_scaling]
    if o.decay == 'constant':
        return optax.constant_schedule(rate)
    if o.decay == 'cosine':
        return optax.cosine_decay_schedule(rate, steps)
    epochs = o.decay_epochs
    if not epochs:
        full = max(int(steps * o.decay_start), 1)
        linear = optax.linear_schedule(rate, 0, max(steps - math.ceil(steps * o.decay_start), 1), full)
        return lambda count: linear(count + 1)
    full = int(epochs * o.decay_start)

    def staircase(count: jax.Array) -> jax.Array:
        epoch = jnp.asarray(count, jnp.uint32) * epochs // steps  # uint32: config.resolve keeps the product below it
        return rate * jnp.clip((epochs - epoch.astype(jnp.float32)) / (epochs - full), 0, 1)

    return staircase
