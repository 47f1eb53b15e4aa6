"""The learning-rate schedules of generators and discriminators."""

import math

import jax
import jax.numpy as jnp
import optax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.training.types import Metrics


def learning_rate(config: ConfigDict, kind: str) -> optax.Schedule:
    """Rate of step number count + 1 of the 'generator' or 'discriminator': constant, then linear to 0, as in the releases.

    decay_epochs 0: lowered at every step, before the update, as in the PyTorch release. Otherwise a staircase of that many
    epochs, as in the TensorFlow release: lr * (epochs - epoch) / (epochs - epochs // 2). Other starts of the decay
    (decay_start, a half in both), cosine (lr * (1 + cos(pi * count / steps)) / 2) and constant rates are ours.
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


def learning_rates(config: ConfigDict, step: jax.Array) -> Metrics:
    """The rates of the step after `step` steps; the discriminators' where they have their own."""
    rates = {'learning_rate': learning_rate(config, 'generator')(step)}
    if config.optimizer.learning_rate_D is not None:
        rates['learning_rate_D'] = learning_rate(config, 'discriminator')(step)
    return rates
