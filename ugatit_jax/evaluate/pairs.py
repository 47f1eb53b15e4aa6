"""Which image of one set is the true translation of which image of another: the one of the same name."""

import collections
import os
from collections.abc import Sequence

from ugatit_jax.common.errors import UserError


def names_of(keys: Sequence[str]) -> list[str]:
    """The names by which images are paired: relative paths without the extension."""
    return [os.path.splitext(key)[0] for key in keys]


def pair_by_name(keys: Sequence[str], other_keys: Sequence[str]) -> list[int] | None:
    """For each of `keys` the index of its name in `other_keys`; None unless both have the same names, each once."""
    names, index = names_of(keys), {name: i for i, name in enumerate(names_of(other_keys))}
    if not len(keys) == len(other_keys) == len(index) or set(names) != index.keys():
        return None
    return [index[name] for name in names]


def require_pairs(keys: Sequence[str], other_keys: Sequence[str], setting: str, kinds: tuple[str, str]) -> list[int]:
    """As `pair_by_name`; raises UserError, which names `setting` and what differs, in place of None.

    kinds: what the keys are of, such as 'the test images of A'.
    """
    pairs = pair_by_name(keys, other_keys)
    if pairs is not None:
        return pairs
    counted = [collections.Counter(names_of(side)) for side in (keys, other_keys)]
    twice, alone = '', ''
    for kind, own, other in zip(kinds, counted, counted[::-1], strict=True):
        twice = twice or next((f'; {name!r} is twice in {kind}' for name in sorted(own) if own[name] > 1), '')
        alone = alone or next((f'; {name!r} is in {kind} alone' for name in sorted(own.keys() - other.keys())), '')
    raise UserError(
        f'{setting} needs images of equal numbers and names, but {kinds[0]} are {len(keys)} and {kinds[1]} are '
        f'{len(other_keys)}{twice or alone}; give the two images of a pair the same name, or leave {setting} out'
    )
