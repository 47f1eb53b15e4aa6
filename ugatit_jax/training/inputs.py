"""From data sets to the images of a step: what the compiled step takes from the host, and the augmentation inside it."""

import itertools
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.sharding import batch_sharding, replicated, shard_batch
from ugatit_jax.config.derived import draws_per_step, load_size
from ugatit_jax.data import device_resident, train_batches
from ugatit_jax.data.augment import augment
from ugatit_jax.data.datasets import Datasets
from ugatit_jax.data.device_resident import ResidentImages
from ugatit_jax.data.pipeline import prefetch
from ugatit_jax.training.state import TrainState, step_key
from ugatit_jax.training.types import Images

# what a step takes from the host: a batch {'A', 'B'}, uint8 [draws * B, load, load, C], sharded over the mesh; or, with
# data.device_resident, the whole training set, replicated, from which the step draws its batch
StepInput = dict[str, jax.Array] | ResidentImages

AUGMENT_KEY = 0  # use of a step's random key, see state.step_key
AUGMENTATIONS = ('flip', 'brightness', 'contrast', 'saturation', 'translate')  # fields of config.augment


def open_inputs(datasets: Datasets, config: ConfigDict, mesh: Mesh) -> Callable[[int], Iterator[StepInput]]:
    """open(first_step): the inputs of that step and of every step after it."""
    if config.data.device_resident:
        resident = device_resident.load(datasets.train_A, datasets.train_B, config, replicated(mesh))
        return lambda first_step: itertools.repeat(resident)

    def open_batches(first_step: int) -> Iterator[StepInput]:
        local = train_batches(
            datasets.train_A, datasets.train_B, config, first_step, jax.process_index(), jax.process_count()
        )
        return prefetch(local, lambda batch: shard_batch(batch, mesh))

    return open_batches


def step_images(source: StepInput, state: TrainState, config: ConfigDict, mesh: Mesh) -> Images:
    """Inside jit: the augmented images {'A', 'B'} of a step, float32 [draws * B, image_size, image_size, C] in [-1, 1]."""
    if isinstance(source, ResidentImages):
        rows = config.data.batch_size * draws_per_step(config)
        source = device_resident.draw_batch(source, state.step, rows, config.seed)
        source = jax.lax.with_sharding_constraint(source, batch_sharding(mesh))
    fields = {name: config.augment[name] for name in AUGMENTATIONS}
    return augment(source, step_key(state, AUGMENT_KEY), image_size=config.data.image_size, **fields)


def abstract_input(config: ConfigDict, mesh: Mesh, counts: tuple[int, int]) -> StepInput:
    """Shapes and shardings of a step's input; counts: training images of A and of B."""
    size, rows = load_size(config), config.data.batch_size * draws_per_step(config)

    def shape(domain: str, n: int, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((n, size, size, config.data[f'channels_{domain}']), np.uint8, sharding=sharding)

    if config.data.device_resident:
        return ResidentImages(*(shape(domain, count, replicated(mesh)) for domain, count in zip('AB', counts)))
    return {domain: shape(domain, rows, batch_sharding(mesh)) for domain in 'AB'}
