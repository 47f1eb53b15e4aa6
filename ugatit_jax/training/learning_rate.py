"""The learning-rate schedules of generators and discriminators."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import FrozenConfigDict as ConfigDict


class Schedule(NamedTuple):
    """The numbers of a schedule, inputs of the compiled step: a longer run or another rate compiles nothing again."""

    rate: Any  # of the first step
    steps: Any  # of the whole run
    epochs: Any  # of the staircase, 0 where the rate falls at every step
    full: Any  # steps, or epochs of the staircase, before it falls
    falling: Any  # steps, or epochs, in which a linear rate falls to 0


def schedule_of(config: ConfigDict, kind: str) -> Schedule:
    """The schedule of the 'generator' or 'discriminator', as Python numbers."""
    o, steps = config.optimizer, config.training.steps
    rate = o.learning_rate if kind == 'generator' or o.learning_rate_D is None else o.learning_rate_D
    rate *= config.data.batch_size ** {'none': 0, 'linear': 1, 'sqrt': 0.5}[o.batch_scaling]
    start = o.decay_start or 0.0  # unset where no linear decay begins
    if epochs := o.decay_epochs:
        full = int(epochs * start)
        return Schedule(rate, steps, epochs, full, epochs - full)
    return Schedule(rate, steps, 0, max(int(steps * start), 1), max(steps - math.ceil(steps * start), 1))


def learning_rate(config: ConfigDict, schedule: Schedule, count: jax.Array) -> jax.Array:
    """Rate of step number count + 1: constant, then linear to 0, as in the releases.

    decay_epochs 0: lowered at every step, before the update, as in the PyTorch release. Otherwise a staircase of that many
    epochs, as in the TensorFlow release: lr * (epochs - epoch) / (epochs - epochs // 2). Other starts of the decay
    (decay_start, a half in both), cosine (lr * (1 + cos(pi * count / steps)) / 2) and constant rates are ours. Of the
    config only the form is used, numbers come from the schedule.
    """
    rate, steps, epochs, full, falling = schedule
    if config.optimizer.decay == 'constant':
        return jnp.asarray(rate)
    if config.optimizer.decay == 'cosine':
        return rate * (1 + jnp.cos(jnp.pi * jnp.minimum(count, steps) / steps)) / 2
    if config.optimizer.decay_epochs:  # uint32: config.resolve keeps the product below it
        at = (jnp.asarray(count, jnp.uint32) * epochs // steps).astype(jnp.int32)
    else:
        at = jnp.asarray(count) + 1
    return rate * (1 - jnp.clip(at - full, 0, falling) / falling)
