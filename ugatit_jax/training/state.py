"""Everything that a run is: one pytree, without functions in it; and how it starts."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.compiler import scale_by_adam
from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS, Networks
from ugatit_jax.models.spectral_norm import COLLECTION, ungrouped
from ugatit_jax.sharding import Placement

Params = dict[str, Any]


@struct.dataclass
class TrainState:
    """State of training after `step` steps; float32 but for step and key."""

    step: jax.Array  # int32 []
    key: jax.Array  # uint32 [2], data of the run's random key; a step's is fold_in(key, step)
    generator: Params  # {genA2B, genB2A}
    discriminator: Params  # {disGA, disLA, disGB, disLB}
    spectral: Params  # u [out] and v [k*k*in] of every normalised kernel, by discriminator; {} for each where that is off
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    ema: Params  # averaged generators; {} where they are off


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


def make_optimizer(config: ConfigDict, kind: str = 'generator') -> optax.GradientTransformationExtraArgs:
    """Adam of generators or discriminators, with eps as PyTorch and the paper have it.

    For 'coupled' decay torch's L2 term is in every gradient, after clipping. `update` wants `metrics`, see order.py.
    """
    o, schedule = config.optimizer, learning_rate(config, kind)
    adam = scale_by_adam(o.beta1, o.beta2, o.eps)
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    decay = [optax.add_decayed_weights(o.weight_decay)] if o.weight_decay_mode == 'coupled' else []
    updates = config.training.n_critic if kind == 'discriminator' else 1  # a step
    rate = schedule if updates == 1 else lambda count: schedule(count // updates)
    return optax.chain(*clip, *decay, adam, optax.scale_by_learning_rate(rate))


def init_state(networks: Networks, config: ConfigDict, placement: Placement | None = None) -> TrainState:
    """The state before the first step, all from config.seed; made where it stays, networks of one kind by one program."""
    key = jax.random.key(config.seed)
    # weights from the backend's own generator: threefry takes a minute to compile for this many draws
    init_key = jax.random.key(config.seed, impl='unsafe_rbg')
    size, channels = config.data.image_size, {'A': config.data.channels_A, 'B': config.data.channels_B}
    names = GENERATORS + DISCRIMINATORS
    variables = {}
    for name, network_key in zip(names, jax.random.split(init_key, len(names))):
        domain = name[3] if name in GENERATORS else name[-1]  # genA2B sees A, disGA sees A
        shape = (1, size, size, channels[domain])
        variables[name] = network_init(networks.module(name), shape, placement)(network_key)
    return placed(functools.partial(start_state, config), placement)(
        {name: variables[name]['params'] for name in GENERATORS},
        {name: variables[name]['params'] for name in DISCRIMINATORS},
        {name: ungrouped(variables[name].get(COLLECTION, {})) for name in DISCRIMINATORS},
        key,
    )


@functools.cache
def network_init(module: nn.Module, shape: tuple[int, ...], placement: Placement | None) -> Callable[[jax.Array], Any]:
    """Compiled init of a network for images of `shape`: key -> variables."""
    return placed(lambda key: module.init(key, jnp.zeros(shape)), placement)


def placed(function: Callable[..., Any], placement: Placement | None) -> Callable[..., Any]:
    """`function`, compiled, with its results where `placement` says."""
    compiled = jax.jit(function) if placement is None else None

    def call(*args: Any) -> Any:
        nonlocal compiled
        compiled = compiled or jax.jit(function, out_shardings=placement(jax.eval_shape(function, *args)))
        return compiled(*args)

    return call


def with_other_key(state: TrainState) -> TrainState:
    """The state with a random key that follows from its own: other crops and flips from here on."""
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), 0x5EED)
    return state.replace(key=jax.device_put(jax.random.key_data(key), state.key.sharding))


def start_state(
    config: ConfigDict, generator: Params, discriminator: Params, spectral: Params, key: jax.Array
) -> TrainState:
    """State at step 0 of given weights: fresh optimisers, the average equal to the generators."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(key),
        generator=generator,
        discriminator=discriminator,
        spectral=spectral,
        generator_opt=make_optimizer(config).init(generator),
        discriminator_opt=make_optimizer(config, 'discriminator').init(discriminator),
        # a copy: the step donates its state, and a buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, generator) if config.training.ema_decay else {},
    )
