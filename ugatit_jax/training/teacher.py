"""The teacher of a run (config.distill): loaded, held against the run's settings, and known by its checksum."""

import logging
from typing import Any, NamedTuple

import jax.numpy as jnp
from ml_collections import ConfigDict as MutableConfigDict
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checksums import checksums, digest
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.models.names import GENERATORS
from ugatit_jax.models.networks import Networks, make_networks

logger = logging.getLogger(__name__)

CHECKSUM_LENGTH = 16  # hexadecimal digits
SHARED_FIELDS = ('image_size', 'channels_A', 'channels_B')  # of data: the teacher translates the student's batches


class Teacher(NamedTuple):
    """Trained generators."""

    networks: Networks  # computing in the run's type
    params: dict[str, Any]  # numpy, genA2B and genB2A: averaged ones where there are some


def load_teacher(config: ConfigDict) -> tuple[ConfigDict, Teacher | None]:
    """The resolved config with distill.teacher_checksum set, and the teacher; None where distill.teacher is unset.

    Raises UserError for a teacher that is not there, has one direction only, or does not fit the settings.
    """
    path, wanted = config.distill.teacher, config.distill.teacher_checksum
    if not path:
        return config, None
    loaded = load_generators(path)
    if missing := [name for name in GENERATORS if name not in loaded.generator]:
        raise UserError(f'distill.teacher={path}: {loaded.where} has no {missing[0]}; a teacher needs both generators')
    for field in SHARED_FIELDS:
        if (ours := config.data[field]) != (theirs := loaded.config.data[field]):
            raise UserError(
                f'config: data.{field}={ours} does not work; it has to be {theirs}, that of distill.teacher={path}'
            )
    checksum = digest(checksums(loaded.generator))[:CHECKSUM_LENGTH]
    if wanted not in ('', checksum):
        raise UserError(
            f'distill.teacher={path}: the weights of {loaded.where} have the checksum {checksum}, not '
            f'distill.teacher_checksum={wanted}; name the teacher that was meant'
        )
    if loaded.weights == 'raw':
        logger.warning('%s has no averaged generators: its raw ones teach, which are noisier', loaded.where)
    logger.info('teacher: %s generators of %s, checksum %s', loaded.weights, loaded.where, checksum)
    networks, dtype = make_networks(loaded.config), jnp.dtype(config.training.compute_dtype)
    networks = networks._replace(**{name: networks.module(name).clone(dtype=dtype) for name in GENERATORS})
    with_checksum = MutableConfigDict(config.to_dict())
    with_checksum.distill.teacher_checksum = checksum
    return ConfigDict(with_checksum), Teacher(networks, loaded.generator)
