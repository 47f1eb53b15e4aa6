"""The train state: one pytree without functions in it, how it starts, and how checkpoints keep it."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.sharding import StateSharding
from ugatit_jax.models.names import DISCRIMINATORS, GENERATORS, domain_of, source_of
from ugatit_jax.models.networks import Networks
from ugatit_jax.models.spectral_norm import COLLECTION, select_group
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.optimizer import make_optimizers
from ugatit_jax.training.types import Params


@struct.dataclass
class TrainState:
    """State of training after `step` steps; float32 but for step and key."""

    step: jax.Array  # int32 []
    key: jax.Array  # uint32 [2], data of the run's random key; see `step_key`
    generator: Params  # {genA2B, genB2A}
    discriminator: Params  # {disGA, disLA, disGB, disLB}
    spectral: Params  # u [out] and v [k*k*in] of every normalised kernel, by discriminator; {} without spectral norm
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState
    ema: Params  # averaged generators; {} where training.ema_decay is 0


def step_key(state: TrainState, use: int) -> jax.Array:
    """The random key of this step for one use of it, an integer."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step), use)


def init_state(networks: Networks, config: ConfigDict, state_sharding: StateSharding | None = None) -> TrainState:
    """The state before the first step, all from config.seed, initialised directly in its sharding."""
    key = jax.random.key(config.seed)
    # weights from the backend's own generator: threefry takes a minute to compile for this many draws
    init_key = jax.random.key(config.seed, impl='unsafe_rbg')
    size, channels = config.data.image_size, {'A': config.data.channels_A, 'B': config.data.channels_B}
    names = GENERATORS + DISCRIMINATORS
    variables = {}
    for name, network_key in zip(names, jax.random.split(init_key, len(names))):
        domain = source_of(name) if name in GENERATORS else domain_of(name)
        shape = (1, size, size, channels[domain])
        variables[name] = network_init(networks.module(name), shape, state_sharding)(network_key)
    return sharded_jit(functools.partial(state_of_weights, config), state_sharding)(
        {name: variables[name]['params'] for name in GENERATORS},
        {name: variables[name]['params'] for name in DISCRIMINATORS},
        {name: select_group(variables[name].get(COLLECTION, {})) for name in DISCRIMINATORS},
        key,
    )


def state_of_weights(
    config: ConfigDict, generator: Params, discriminator: Params, spectral: Params, key: jax.Array
) -> TrainState:
    """The state at step 0 of given weights: fresh optimizers, the average equal to the generators."""
    optimizers = make_optimizers(config, hyperparameters(config))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=jax.random.key_data(key),
        generator=generator,
        discriminator=discriminator,
        spectral=spectral,
        generator_opt=optimizers['generator'].init(generator),
        discriminator_opt=optimizers['discriminator'].init(discriminator),
        # a copy: the step donates its state, and a buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, generator) if config.training.ema_decay else {},
    )


@functools.cache  # networks with the same architecture are compiled once
def network_init(
    module: nn.Module, shape: tuple[int, ...], state_sharding: StateSharding | None
) -> Callable[[jax.Array], Any]:
    """Compiled init of a network for images of `shape`: key -> variables."""
    return sharded_jit(lambda key: module.init(key, jnp.zeros(shape)), state_sharding)


def sharded_jit(function: Callable[..., Any], state_sharding: StateSharding | None) -> Callable[..., Any]:
    """jax.jit of `function` with its results sharded as `state_sharding` says."""
    compiled = jax.jit(function) if state_sharding is None else None

    def call(*args: Any) -> Any:
        nonlocal compiled
        compiled = compiled or jax.jit(function, out_shardings=state_sharding(jax.eval_shape(function, *args)))
        return compiled(*args)

    return call


def reseed(state: TrainState) -> TrainState:
    """The state with another random key, derived from its own: other crops and flips from here on."""
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), 0x5EED)  # any number
    return state.replace(key=jax.device_put(jax.random.key_data(key), state.key.sharding))


def to_items(state: TrainState) -> dict[str, Any]:
    """The state as the two items of a checkpoint: 'generators', which is all that translation needs, and 'training'."""
    training = {
        name: getattr(state, name)
        for name in ('step', 'key', 'discriminator', 'spectral', 'generator_opt', 'discriminator_opt')
    }
    return {'generators': {'raw': state.generator, 'ema': state.ema}, 'training': training}


def from_items(items: dict[str, Any]) -> TrainState:
    """The inverse of `to_items`."""
    generators = items['generators']
    return TrainState(generator=generators['raw'], ema=generators['ema'], **items['training'])
