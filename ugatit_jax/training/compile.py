"""The compiled step: input and augmentation, then the update."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.progress import announced
from ugatit_jax.common.sharding import StateSharding, replicated
from ugatit_jax.config.derived import uses_discriminators, uses_identity
from ugatit_jax.training.hyperparameters import Hyperparameters, hyperparameters
from ugatit_jax.training.inputs import StepInput, abstract_input, step_images
from ugatit_jax.training.memory import trim_memory
from ugatit_jax.training.state import TrainState
from ugatit_jax.training.types import Images, Metrics, Params

USUALLY = 'usually 1 to 3 minutes; the compilation cache keeps it for later runs'


def compile_step(
    train_step: Callable[[TrainState, Images, Hyperparameters], tuple[TrainState, Metrics]],
    shapes: TrainState,
    config: ConfigDict,
    state_sharding: StateSharding,
    counts: tuple[int, int],
    teacher: Params | None = None,
) -> tuple[Any, list[str]]:
    """The compiled (state, input, hyperparameters) -> (state, metrics), which donates its state, and its metrics' names.

    shapes: of the state; counts: training images of A and of B, which matter with data.device_resident only; teacher: its
    weights.
    """
    with announced('compiling the train step', program_key(config), usually=USUALLY):
        traced = trace_step(train_step, shapes, config, state_sharding, counts, teacher)
        compiled = traced.lower().compile()
    trim_memory()
    return compiled, list(traced.out_info[1])


def program_key(config: ConfigDict) -> list[Any]:
    """What the time to compile depends on most: devices, networks, losses and sizes."""
    groups = [config[name].to_json_best_effort() for name in ('model', 'augment')]
    groups += [config.loss.adversarial, uses_identity(config), bool(config.distill.teacher), uses_discriminators(config)]
    sizes = [config.data[name] for name in ('image_size', 'batch_size', 'device_resident')]
    training = [config.training[name] for name in ('accumulate', 'remat', 'shard_params', 'compute_dtype', 'n_critic')]
    return [jax.__version__, jax.devices()[0].device_kind, jax.device_count(), *groups, *sizes, *training]


def trace_step(
    train_step: Callable[[TrainState, Images, Hyperparameters], tuple[TrainState, Metrics]],
    shapes: TrainState,
    config: ConfigDict,
    state_sharding: StateSharding,
    counts: tuple[int, int],
    teacher: Params | None = None,
) -> Any:
    """The step of `compile_step`, traced."""
    mesh = state_sharding.mesh

    def step_function(state: TrainState, source: StepInput, numbers: Hyperparameters) -> tuple[TrainState, Metrics]:
        return train_step(state, step_images(source, state, config, mesh), numbers)

    jitted = jax.jit(step_function, donate_argnums=0, out_shardings=(state_sharding(shapes), replicated(mesh)))
    return jitted.trace(
        state_sharding.abstract(shapes),
        abstract_input(config, mesh, counts),
        abstract_hyperparameters(config, mesh, teacher),
    )


def abstract_hyperparameters(config: ConfigDict, mesh: jax.sharding.Mesh, teacher: Params | None = None) -> Hyperparameters:
    """Shapes and sharding of the third input of the compiled step."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), jnp.result_type(leaf), sharding=replicated(mesh)),
        hyperparameters(config, teacher),
    )


def place_hyperparameters(config: ConfigDict, mesh: jax.sharding.Mesh, teacher: Params | None = None) -> Hyperparameters:
    """The third input of the compiled step, on all devices of all processes."""

    def place(leaf: Any, abstract: jax.ShapeDtypeStruct) -> jax.Array:
        array = np.asarray(leaf, abstract.dtype)
        return jax.make_array_from_callback(array.shape, abstract.sharding, lambda index: array[index])

    abstract = abstract_hyperparameters(config, mesh, teacher)
    return jax.tree.map(place, hyperparameters(config, teacher), abstract)
