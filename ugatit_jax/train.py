"""The training loop."""
import logging
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from ugatit_jax import preview, sharding
from ugatit_jax.checkpoint import Checkpoints
from ugatit_jax.config import draws_per_step, resolve, uses_identity
from ugatit_jax.data import device_resident, open_datasets, train_batches
from ugatit_jax.data.augment import augment
from ugatit_jax.data.pipeline import prefetch
from ugatit_jax.data.sources import Datasets
from ugatit_jax.errors import UserError
from ugatit_jax.networks import DISCRIMINATORS, GENERATORS, Networks, make_networks
from ugatit_jax.report import Reporter
from ugatit_jax.state import TrainState, init_state
from ugatit_jax.train_step import make_train_step, step_key

logger = logging.getLogger(__name__)


def train(config: ConfigDict, workdir: str) -> TrainState:
    """Trains to config.training.steps, from the newest checkpoint in `workdir` where there is one.

    Leaves checkpoints/, previews/, metrics.jsonl and TensorBoard files in workdir, and returns the last state. Raises
    UserError for settings, data or checkpoints that do not work.
    """
    config = resolve(config)
    mesh = sharding.make_mesh(config.data.batch_size, config.training.accumulate)
    placement = sharding.Placement(mesh, config.training.shard_params)

    # data
    datasets = open_datasets(config)
    logger.info('pictures: %s', ', '.join(
        f'{name} {len(source)}' for name, source in vars(datasets).items() if source is not None))

    # state: new, or as the newest checkpoint has it
    checkpoints = Checkpoints(make_directory(workdir), config.training.keep_checkpoints)
    networks = make_networks(config)
    shapes = jax.eval_shape(lambda: init_state(networks, config))
    log_parameters(shapes)
    if (latest := checkpoints.latest()) is None:
        state = init_state(networks, config, placement)
    else:
        state = checkpoints.restore(latest, shapes, config, placement)
        logger.info('continuing from step %d of %s', latest, checkpoints.directory)
    first, last = int(state.step), config.training.steps
    if first >= last:
        logger.info('nothing to do: %s has step %d, training.steps is %d', checkpoints.directory, first, last)
        checkpoints.close()
        return state

    # what is shown
    lead = jax.process_index() == 0
    reporter = Reporter(workdir, first, last, config.data.batch_size, lead)
    preview_images = preview.choose(datasets, config)

    def show(step: int) -> None:
        sheet = preview.draw(networks, state.ema or state.generator, preview_images, uses_identity(config))
        if lead:
            preview.save(sheet, workdir, step)
            reporter.picture(step, 'preview', sheet)

    if first == 0:
        show(0)

    # the step, compiled before the first batch is waited for
    batches, step_function = make_inputs(datasets, networks, config, placement, first)
    started = time.monotonic()
    logger.info('compiling the train step')
    batch = next(batches)
    train_step = jax.jit(
        step_function, donate_argnums=0, out_shardings=(placement(shapes), sharding.replicated(mesh))
    ).lower(state, batch).compile()
    logger.info('compiled in %.0f s', time.monotonic() - started)
    reporter.start(first)

    for step in range(first + 1, last + 1):  # `step` steps are done at the end of a turn
        state, metrics = train_step(state, batch)
        if step < last:
            batch = next(batches)

        log, save = due(step, config.training.log_every, last), due(step, config.training.checkpoint_every, last)
        if log or save:
            metrics = jax.device_get(metrics)
            refuse_not_finite(step, metrics, checkpoints)
        if log:
            reporter.log(step, metrics)
        if due(step, config.training.preview_every, last):
            show(step)
        if save:
            checkpoints.save(state, config)

    checkpoints.close()
    reporter.close()
    logger.info('done: checkpoints, previews and metrics.jsonl are in %s', workdir)
    return state


def due(step: int, every: int, last: int) -> bool:
    """Whether something done every so many steps, and at the end, is to be done now."""
    return step % every == 0 or step == last


def make_inputs(
    datasets: Datasets, networks: Networks, config: ConfigDict, placement: sharding.Placement, first: int
) -> tuple[Iterator[Any], Any]:
    """Batches from step `first` on, and step_function(state, batch), augmentation included.

    Where data.device_resident is set, a "batch" is the whole set, always the same arrays, and the step draws from it.
    """
    train_step, mesh = make_train_step(networks, config, placement.gather), placement.mesh
    fields = {name: config.augment[name] for name in ('flip', 'brightness', 'contrast', 'saturation', 'translate')}
    if config.data.device_resident:
        arrays = device_resident.load(datasets.train_A, datasets.train_B, config, sharding.replicated(mesh))
        batches = iter(lambda: arrays, None)
    else:
        local = train_batches(
            datasets.train_A, datasets.train_B, config, first, jax.process_index(), jax.process_count())
        batches = prefetch(local, lambda batch: sharding.put_batch(batch, mesh))

    def step_function(state: TrainState, batch: Any) -> Any:
        if config.data.device_resident:
            pictures = config.data.batch_size * draws_per_step(config)
            batch = device_resident.sample(batch, state.step, pictures, config.seed)
            batch = jax.lax.with_sharding_constraint(batch, sharding.split(mesh))
        images = augment(batch, step_key(state, 0), image_size=config.data.image_size, **fields)
        return train_step(state, images)

    return batches, step_function


def make_directory(workdir: str) -> str:
    """Makes the workdir; raises UserError where that is not possible."""
    try:
        epath.Path(workdir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'--workdir={workdir} cannot be made: {error}; name a folder that can be written') from error
    return workdir


def refuse_not_finite(step: int, metrics: dict[str, np.ndarray], checkpoints: Checkpoints) -> None:
    """Raises UserError if a metric is not finite, naming the first one and the checkpoint before it."""
    bad = [name for name, value in metrics.items() if not np.isfinite(value)]
    if bad:
        checkpoints.close()
        raise UserError(
            f'step {step}: {bad[0]} is {metrics[bad[0]]}; the last checkpoint is of step {checkpoints.latest()}. Lower '
            'optimizer.learning_rate, or use float32')


def log_parameters(state: TrainState) -> None:
    """Logs how many parameters each network has."""
    networks = state.generator | state.discriminator
    counts = {name: sum(leaf.size for leaf in jax.tree.leaves(networks[name])) for name in GENERATORS + DISCRIMINATORS}
    logger.info('parameters: %s, together %s', ', '.join(f'{name} {count:,}' for name, count in counts.items()),
                f'{sum(counts.values()):,}')
