"""What --dry_run does: everything that can be known before images are read and programs compiled."""

import logging

from ml_collections import ConfigDict

from ugatit_jax import sharding
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.sources.open_source import check_fields, open_source
from ugatit_jax.training import memory

logger = logging.getLogger(__name__)


def dry_run(config: ConfigDict, workdir: str) -> None:
    """Checks settings and data source and logs the estimate; reads no images and leaves `workdir` alone.

    A data set of TFDS that would have to be fetched is not, only its name is checked. Raises UserError, as training does.
    """
    config = resolve(config)
    mesh = sharding.make_mesh(config.data.batch_size, config.training.accumulate)
    check_fields(config)
    counts = None
    kind, _, place = config.data.source.partition(':')
    if kind == 'tfds' and place:
        from ugatit_jax.data.sources.tfds import named_builder  # imports TensorFlow Datasets

        prepared = named_builder(place, config.data.data_dir).is_prepared()
        logger.info('images: %s is %s', config.data.source, 'there' if prepared else 'not there: the run fetches it')
    else:
        sources = {
            f'{split}_{domain}': open_source(config, domain, split, missing_ok=split == 'test')
            for split in ('train', 'test')
            for domain in 'AB'
        }
        logger.info(
            'images: %s', ', '.join(f'{name} {len(source)}' for name, source in sources.items() if source is not None)
        )
        counts = len(sources['train_A']), len(sources['train_B'])
    if config.init_from:
        logger.info('starts from %s', load_generators(config.init_from).where)
    memory.report(config, mesh, counts)
    logger.info('dry run: settings and data source are in order; %s is as it was', workdir)
