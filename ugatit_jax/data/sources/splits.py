"""The four parts of an unpaired data set."""

from ugatit_jax.errors import UserError

SPLITS = ('trainA', 'trainB', 'testA', 'testB')


class MissingSplit(UserError):
    """The data set is there, but not this part of it."""
