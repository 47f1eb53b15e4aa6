"""What --dry_run does: everything that can be known before images are read, the compiled step included."""

import logging

import jax
from ml_collections import ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import device_resident
from ugatit_jax.data.datasets import validate_data_fields
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.evaluate.best_metric import validate_best_name
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training import memory
from ugatit_jax.training.compile import compile_step
from ugatit_jax.training.init_from import read_start
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step
from ugatit_jax.training.teacher import load_teacher
from ugatit_jax.training.workdir import explain_io_errors

logger = logging.getLogger(__name__)


def dry_run(config: ConfigDict, workdir: str) -> None:
    """Checks settings, data and what the run starts from, compiles the step and logs what it needs; leaves `workdir` alone.

    The compilation cache keeps the compiled step for the run. No images are read; a data set of TFDS that would have to be
    fetched is not, only its name is checked, and it is not called in order. Raises UserError, as training does.
    """
    config, teacher = load_teacher(resolve(config))
    teacher_networks, teacher_params = teacher or (None, None)
    mesh = make_mesh(config.data.batch_size, config.training.accumulate)
    state_sharding = StateSharding(mesh, config.training.shard_params)
    validate_data_fields(config)
    kind, _, name = config.data.source.partition(':')
    of_tfds = kind == 'tfds' and bool(name)
    fetched = is_fetched(name, config) if of_tfds else True
    counts = None if of_tfds else count_images(config)
    if counts is not None and config.data.device_resident:
        device_resident.validate_counts(counts, config, list(mesh.local_devices))
    networks = make_networks(config)
    shapes = jax.eval_shape(lambda: init_state(networks, config))
    memory.log_sizes(shapes, state_sharding)
    with explain_io_errors(workdir), Checkpoints(workdir) as checkpoints:
        step = checkpoints.validate_newest(config)
    if step:
        logger.info('continues from step %d of %s', step, checkpoints.directory)
    elif config.init_from:
        read_start(config.init_from, shapes, config)
    if counts is None and config.data.device_resident:
        logger.info('memory depends on the number of images, which is known when the run has fetched them')
    else:
        with memory.explain_out_of_memory(config):
            train_step = make_train_step(networks, config, state_sharding.gather, teacher_networks)
            compiled, metric_names = compile_step(
                train_step, shapes, config, state_sharding, counts or (0, 0), teacher_params
            )
        memory.log_memory(compiled, shapes, state_sharding, config)
        validate_best_name(config, metric_names)
    if fetched:
        logger.info('dry run: settings and data source are in order; %s is as it was', workdir)
    else:
        logger.info(
            'dry run: settings are in order; %s was not checked, as it is not here: the run downloads it; %s is as it was',
            config.data.source,
            workdir,
        )


def is_fetched(name: str, config: ConfigDict) -> bool:
    """Whether a data set of TFDS is on this machine; raises UserError where it is not and data.download is False."""
    from ugatit_jax.data.sources.tfds import named_builder, prepared_builder  # imports TensorFlow Datasets

    if not config.data.download:
        prepared_builder(name, config.data.data_dir, download=False)
    return named_builder(name, config.data.data_dir).is_prepared()


def count_images(config: ConfigDict) -> tuple[int, int]:
    """Logs how many images the data source has; those of trainA and trainB."""
    counts = {}
    for split in ('train', 'test'):
        for domain in 'AB':
            source = open_source(config, domain, split, missing_ok=split == 'test')
            if source is not None:
                counts[f'{split}_{domain}'] = len(source)
    logger.info('images: %s', ', '.join(f'{name} {count}' for name, count in counts.items()))
    return counts['train_A'], counts['train_B']
