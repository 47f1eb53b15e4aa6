"""The compiled step: input and augmentation, then the update."""

import logging
import time
from collections.abc import Callable
from typing import Any

import jax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.sharding import StateSharding, replicated
from ugatit_jax.training.inputs import StepInput, abstract_input, step_images
from ugatit_jax.training.memory import trim_memory
from ugatit_jax.training.state import TrainState
from ugatit_jax.training.types import Images, Metrics

logger = logging.getLogger(__name__)


def compile_step(
    train_step: Callable[[TrainState, Images], tuple[TrainState, Metrics]],
    shapes: TrainState,
    config: ConfigDict,
    state_sharding: StateSharding,
    counts: tuple[int, int],
) -> tuple[Any, list[str]]:
    """The compiled (state, input) -> (state, metrics), which donates its state, and the names of the metrics.

    shapes: of the state; counts: training images of A and of B, which matter with data.device_resident only.
    """
    started = time.monotonic()
    logger.info('compiling the train step')
    traced = trace_step(train_step, shapes, config, state_sharding, counts)
    compiled = traced.lower().compile()
    trim_memory()
    logger.info('compiled in %.0f s', time.monotonic() - started)
    return compiled, list(traced.out_info[1])


def trace_step(
    train_step: Callable[[TrainState, Images], tuple[TrainState, Metrics]],
    shapes: TrainState,
    config: ConfigDict,
    state_sharding: StateSharding,
    counts: tuple[int, int],
) -> Any:
    """The step of `compile_step`, traced."""
    mesh = state_sharding.mesh

    def step_function(state: TrainState, source: StepInput) -> tuple[TrainState, Metrics]:
        return train_step(state, step_images(source, state, config, mesh))

    jitted = jax.jit(step_function, donate_argnums=0, out_shardings=(state_sharding(shapes), replicated(mesh)))
    return jitted.trace(state_sharding.abstract(shapes), abstract_input(config, mesh, counts))
