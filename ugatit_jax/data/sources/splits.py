"""The four splits of an unpaired data set."""

from ugatit_jax.common.errors import UserError

SPLITS = ('trainA', 'trainB', 'testA', 'testB')


class MissingSplit(UserError):
    """The data set exists, but has no such split, or no images in it."""
