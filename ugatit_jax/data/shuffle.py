"""Which image is the i-th of a run: a keyed permutation for each epoch, stateless, the same in NumPy and in JAX.

The permutation is a swap-or-not network (Hoang, Morris, Rogaway, "An Enciphering Scheme Based on a Card Shuffle",
2012), which works for any n: in each round x is paired with key - x (mod n), and a hash of the larger of the two says
whether they swap. Both members of a pair see the same hash, so each round is a bijection.

All arithmetic is uint32, which wraps around in both libraries alike. Limits: i < 2**32 and n < 2**31.
"""

from typing import Any

import numpy as np

ROUNDS = 24  # an image is in no swap at all with probability 2**-24, far below the 1 / n of a fair shuffle
MAX_EXAMPLES = 2**32  # of a run, over all steps and processes: positions are uint32
MAX_IMAGES = 2**31  # of a domain: sums of two indices are uint32


def shuffled_index(i: Any, n: int, seed: int, stream: int, xp: Any = np) -> Any:
    """Index in [0, n) of the i-th example of a run: each epoch of n examples visits every image once.

    i is step * batch_size + position in the batch, below 2**32: integers of any shape, traced ones too; the indices are
    uint32 of that shape. n is static. Streams (0 for A, 1 for B) are shuffled independently. xp is `numpy` or `jax.numpy`,
    and the results are equal bit for bit.
    """
    if not 0 < n < MAX_IMAGES:
        raise ValueError(f'n={n} is not in [1, 2**31)')
    shape = np.shape(i)
    i = xp.asarray(i).astype(np.uint32).reshape(shape or (1,))  # NumPy warns of wrap-around on scalars, not on arrays
    count = np.uint32(n)
    epoch, x = i // count, i % count
    base = mix(np.full((1,), (seed & 0xFFFFFFFF) ^ 0x9E3779B9, np.uint32))
    base = mix(base ^ np.uint32(seed >> 32 & 0xFFFFFFFF)) ^ np.uint32(stream * 0x85EBCA6B & 0xFFFFFFFF)
    epoch_key = mix(mix(epoch + base) ^ np.uint32(0x27D4EB2F))  # one key per element: a batch may cross an epoch border
    for r in range(ROUNDS):
        round_key = mix(epoch_key + np.uint32((r + 1) * 0x9E3779B9 & 0xFFFFFFFF))
        partner = (round_key % count + (count - x)) % count
        larger = xp.maximum(x, partner)
        swap = mix(larger ^ (round_key * np.uint32(0xC2B2AE35) + np.uint32(r))) >> np.uint32(31)
        x = xp.where(swap == np.uint32(1), partner, x)
    return x.reshape(shape)


def mix(h: Any) -> Any:
    """The finaliser of MurmurHash3: every input bit reaches every output bit. uint32 to uint32, a bijection."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))
