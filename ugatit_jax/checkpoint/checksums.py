"""Checksums of arrays, wherever they are: the same 64 bits on the host, on a device and sharded over several.

An array is read as uint32 words w[i] in row-major order (of 8-byte numbers both halves, smaller numbers as integers). Two
sums modulo 2^32:

    sum of w[i] (2 i + 1)       changes with every single flipped bit, as the factor is odd
    sum of mix(w[i] + i c)      changes, but for one case in 2^32, with any other damage; mix is MurmurHash3's finaliser

Sums of integers have no order, so they do not depend on how an array is sharded.
"""

import hashlib
import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

BLOCK = 2**16  # words summed at once on the host: 256 KB and its temporaries stay in the cache of a core
GOLDEN, MIX_1, MIX_2 = 0x9E3779B9, 0x85EBCA6B, 0xC2B2AE35  # 2^32 / golden ratio; MurmurHash3's


def checksums(tree: Any) -> dict[str, str]:
    """The checksum, type and shape of every array, by its path: {'raw/genA2B/w': '0123456789abcdef float32 3x64'}.

    Several processes have to call it together: it reads arrays that are sharded over all of them.
    """
    leaves = named_leaves(tree)
    sums = {name: host_sums(np.asarray(leaf)) if on_host(leaf) else device_sums(leaf) for name, leaf in leaves.items()}
    texts = {name: f'{leaf.dtype} {"x".join(map(str, leaf.shape))}' for name, leaf in leaves.items()}
    return {name: f'{first:08x}{second:08x} {texts[name]}' for name, (first, second) in jax.device_get(sums).items()}


def named_leaves(tree: Any) -> dict[str, Any]:
    """The arrays of a tree by their paths, keys joined by '/'."""
    return {
        jax.tree_util.keystr(path, simple=True, separator='/'): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def on_host(array: Any) -> bool:
    """Whether the host has all of an array without a copy; XLA's sums on a CPU take twice as long as NumPy's."""
    if not isinstance(array, jax.Array):
        return True
    return array.is_fully_replicated and all(device.platform == 'cpu' for device in array.devices())


def host_sums(array: np.ndarray) -> tuple[int, int]:
    """Both sums of an array on the host."""
    array = np.ascontiguousarray(array).reshape(-1)
    first = second = 0
    step = BLOCK * 4 // max(array.itemsize, 4)
    for start in range(0, array.size, step):
        part = array[start : start + step]
        words = part.view(np.uint32) if part.itemsize >= 4 else part.view(f'u{part.itemsize}').astype(np.uint32)
        begin = start * max(array.itemsize // 4, 1)
        index = (np.arange(begin, begin + words.size, dtype=np.uint64) & 0xFFFFFFFF).astype(np.uint32)
        first += int((words * (2 * index + 1)).sum(dtype=np.uint32))
        second += int(mix(words + index * np.uint32(GOLDEN)).sum(dtype=np.uint32))
    return first % 2**32, second % 2**32


@jax.jit
def device_sums(array: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both sums of an array on devices, replicated; compiled once for each shape."""
    if array.dtype == bool:
        array = array.astype(jnp.uint8)
    words = jax.lax.bitcast_convert_type(array, jnp.dtype(f'uint{8 * min(array.dtype.itemsize, 4)}')).astype(jnp.uint32)
    index = jnp.zeros(words.shape, jnp.uint32)  # of the flat array, without a reshape, which would gather the shards
    for axis in range(words.ndim):
        stride = math.prod(words.shape[axis + 1 :]) % 2**32
        index += jax.lax.broadcasted_iota(jnp.uint32, words.shape, axis) * np.uint32(stride)
    first = jnp.sum(words * (2 * index + 1), dtype=jnp.uint32)
    return first, jnp.sum(mix(words + index * np.uint32(GOLDEN)), dtype=jnp.uint32)


def mix(words: Any) -> Any:
    """MurmurHash3's finaliser of uint32: every bit of a word changes half of the result's bits."""
    words = (words ^ (words >> 16)) * np.uint32(MIX_1)
    words = (words ^ (words >> 13)) * np.uint32(MIX_2)
    return words ^ (words >> 16)


def digest(value: Any) -> str:
    """The checksum of JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def differing(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """Names whose checksums are not those `wanted`, or that only one of both has, sorted."""
    return [name for name in sorted(found.keys() | wanted.keys()) if found.get(name) != wanted.get(name)]
