"""Everything that a run is: one pytree, without functions in it; and how it starts."""
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from ml_collections import ConfigDict

from ugatit_jax.models.spectral_norm import COLLECTION, ungrouped
from ugatit_jax.networks import DISCRIMINATORS, GENERATORS, Networks

Params = dict[str, Any]


@struct.dataclass
class TrainState:
    """State of training after `step` steps; float32 but for step and key."""
    step: jax.Array  # int32 []
    key: jax.Array  # uint32 [2], data of the run's random key; a step's is fold_in(key, step)
    generator: Params  # {genA2B, genB2A}
    discriminator: Params  # {disGA, disLA, disGB, disLB}
    spectral: Params  # u [out] and v [k*k*in] of every normalised kernel, by discriminator
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    ema: Params  # averaged generators; {} where they are off


def learning_rate(config: ConfigDict) -> optax.Schedule:
    """Rate of update number count + 1: constant for the first half, then linear to 0 (both releases).

    decay_epochs 0: lowered at every step, before the update, as the PyTorch release does. Otherwise a staircase of
    that many epochs, as the TensorFlow release does: lr * (epochs - epoch) / (epochs - epochs // 2).
    """
    rate, steps, epochs = config.optimizer.learning_rate, config.training.steps, config.optimizer.decay_epochs
    if not epochs:
        half = max(steps // 2, 1)
        linear = optax.linear_schedule(rate, 0, half, half)
        return lambda count: linear(count + 1)
    interval, half = max(steps // epochs, 1), epochs // 2

    def staircase(count: jax.Array) -> jax.Array:
        return rate * jnp.clip((epochs - count // interval) / (epochs - half), 0, 1)
    return staircase


def make_optimizer(config: ConfigDict) -> optax.GradientTransformation:
    """Adam as in both releases; for weight_decay_mode 'coupled' with torch's L2 term added to every gradient."""
    o = config.optimizer
    adam = optax.scale_by_adam(b1=o.beta1, b2=o.beta2, eps=o.eps)
    decay = [optax.add_decayed_weights(o.weight_decay)] if o.weight_decay_mode == 'coupled' else []
    return optax.chain(*decay, adam, optax.scale_by_learning_rate(learning_rate(config)))


def init_state(networks: Networks, config: ConfigDict) -> TrainState:
    """The state before the first step, all from config.seed; meant to run inside jit."""
    key = jax.random.key(config.seed)
    size = config.data.image_size
    images = {
        'A': jnp.zeros((1, size, size, config.data.channels_A)), 'B': jnp.zeros((1, size, size, config.data.channels_B))}
    keys = dict(zip(GENERATORS + DISCRIMINATORS, jax.random.split(jax.random.fold_in(key, 0), 6)))
    generator = {
        'genA2B': networks.genA2B.init(keys['genA2B'], images['A'])['params'],
        'genB2A': networks.genB2A.init(keys['genB2A'], images['B'])['params']}
    variables = {
        name: networks.discriminator(name).init(keys[name], images[name[-1]]) for name in DISCRIMINATORS}
    return start_state(
        config, generator, {name: v['params'] for name, v in variables.items()},
        {name: ungrouped(v[COLLECTION]) for name, v in variables.items()}, jax.random.fold_in(key, 1))


def start_state(
    config: ConfigDict, generator: Params, discriminator: Params, spectral: Params, key: jax.Array
) -> TrainState:
    """State at step 0 of given weights: fresh optimisers, the average equal to the generators."""
    optimizer = make_optimizer(config)
    return TrainState(
        step=jnp.zeros((), jnp.int32), key=jax.random.key_data(key), generator=generator, discriminator=discriminator,
        spectral=spectral, generator_opt=optimizer.init(generator), discriminator_opt=optimizer.init(discriminator),
        # a copy: the step donates its state, and a buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, generator) if config.training.ema_decay else {})
