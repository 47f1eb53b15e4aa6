"""What goes into the compiled step: batches on the devices, and the step with sampling and augmentation in front."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from ml_collections import ConfigDict

from ugatit_jax import sharding
from ugatit_jax.config.derived import draws_per_step
from ugatit_jax.data import device_resident, train_batches
from ugatit_jax.data.augment import augment
from ugatit_jax.data.pipeline import prefetch
from ugatit_jax.data.sources.open_source import Datasets
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.state import TrainState
from ugatit_jax.training.step import make_train_step, step_key


def make_inputs(
    datasets: Datasets, networks: Networks, config: ConfigDict, state_sharding: sharding.StateSharding
) -> tuple[Callable[[int], Iterator[Any]], Callable[[TrainState, Any], Any]]:
    """open_batches(first), the batches from step `first` on, and step_function(state, batch), augmentation included.

    Where data.device_resident is set, a "batch" is the whole set, always the same arrays, and the step draws from it.
    """
    train_step, mesh = make_train_step(networks, config, state_sharding.gather), state_sharding.mesh
    fields = {name: config.augment[name] for name in ('flip', 'brightness', 'contrast', 'saturation', 'translate')}
    arrays = None
    if config.data.device_resident:
        arrays = device_resident.load(datasets.train_A, datasets.train_B, config, sharding.replicated(mesh))

    def open_batches(first: int) -> Iterator[Any]:
        if arrays is not None:
            return iter(lambda: arrays, None)
        local = train_batches(datasets.train_A, datasets.train_B, config, first, jax.process_index(), jax.process_count())
        return prefetch(local, lambda batch: sharding.shard_batch(batch, mesh))

    def step_function(state: TrainState, batch: Any) -> Any:
        if arrays is not None:
            images = config.data.batch_size * draws_per_step(config)
            batch = device_resident.sample(batch, state.step, images, config.seed)
            batch = jax.lax.with_sharding_constraint(batch, sharding.split(mesh))
        images = augment(batch, step_key(state, 0), image_size=config.data.image_size, **fields)
        return train_step(state, images)

    return open_batches, step_function
