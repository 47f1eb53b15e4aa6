"""Which image is the i-th of a run: a keyed permutation per epoch, without state, the same in NumPy and in JAX.

The permutation is a swap-or-not network (Hoang, Morris, Rogaway, "An Enciphering Scheme Based on a Card Shuffle",
2012), which works on any n directly: in each round x is paired with key - x (mod n), and a hash of the larger one of
the two says whether they change places. Both members of a pair see the same hash, so each round is a bijection.

All arithmetic is uint32, which wraps around alike in both libraries. Limits: i < 2**32 and n < 2**31.
"""

from typing import Any

import numpy as np

ROUNDS = 24  # an image is in no swap at all with probability 2**-24, far below the 1 / n of a fair shuffle
MAX_EXAMPLES = 2**32  # of a run, over all steps and processes
MAX_IMAGES = 2**31  # of a domain


def shuffled_index(i: Any, n: int, seed: int, stream: int, xp: Any = np) -> Any:
    """Index in [0, n) of the global example i (array or scalar, < 2**32): each epoch of n visits every image once.

    Args:
      i: step * batch_size + position in the batch; integers of any shape, traced ones too.
      n: number of images of the domain, static.
      seed: of the run.
      stream: keeps domains apart: 0 for A, 1 for B.
      xp: `numpy` or `jax.numpy`; the results are equal bit for bit.

    Returns:
      uint32 of the shape of i.
    """
    if not 0 < n < MAX_IMAGES:
        raise ValueError(f'n={n} is not in [1, 2**31)')
    shape = np.shape(i)
    i = xp.asarray(i).astype(np.uint32).reshape(shape or (1,))  # NumPy warns of wrap-around on scalars, not on arrays
    count = np.uint32(n)
    epoch, x = i // count, i % count
    base = _mix(np.full((1,), (seed & 0xFFFFFFFF) ^ 0x9E3779B9, np.uint32))
    base = _mix(base ^ np.uint32(seed >> 32 & 0xFFFFFFFF)) ^ np.uint32(stream * 0x85EBCA6B & 0xFFFFFFFF)
    epoch_key = _mix(_mix(epoch + base) ^ np.uint32(0x27D4EB2F))  # one key per element: a batch may cross an epoch border
    for r in range(ROUNDS):
        round_key = _mix(epoch_key + np.uint32((r + 1) * 0x9E3779B9 & 0xFFFFFFFF))
        partner = (round_key % count + (count - x)) % count
        larger = xp.maximum(x, partner)
        swap = _mix(larger ^ (round_key * np.uint32(0xC2B2AE35) + np.uint32(r))) >> np.uint32(31)
        x = xp.where(swap == np.uint32(1), partner, x)
    return x.reshape(shape)


def _mix(h: Any) -> Any:
    """The finaliser of MurmurHash3: every input bit reaches every output bit. uint32 to uint32, a bijection."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))
