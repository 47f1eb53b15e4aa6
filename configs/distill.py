"""A small student that learns the images of a trained teacher; python -m ugatit_jax.distill --teacher=TEACHER takes it.

    python -m ugatit_jax.main --config=distill:TEACHER --workdir=DIR

TEACHER is a workdir, one of its checkpoints, a folder that ugatit_jax.export wrote, or the name of a model of the package.
"""

from ml_collections import config_dict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.student import student_config


def get_config(teacher: str = '') -> config_dict.ConfigDict:
    """The config of a student of `teacher`; raises UserError where that is not there."""
    if not teacher:
        raise UserError(
            '--config=distill names no teacher; --config=distill:WORKDIR, or ugatit_jax.distill --teacher=WORKDIR'
        )
    from ugatit_jax.checkpoint.generators import load_generators  # here: it needs JAX, and --help does not get here

    return student_config(load_generators(teacher, names=()).config, teacher)
