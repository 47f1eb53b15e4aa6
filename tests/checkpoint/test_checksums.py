"""Checksums see every flipped bit, wherever the array is."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.checksums import BLOCK, checksums, device_sums, differing, digest, host_sums

TYPES = (np.float32, np.int32, np.uint32, np.float16, ml_dtypes.bfloat16, np.uint8, np.int8, np.bool_)


def array(dtype, shape=(7, 5, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 2 if dtype == np.bool_ else 100, shape).astype(dtype)


def formula(x):
    """As the module's docstring has it, with Python's integers, for arrays of 4-byte numbers."""

    def mix(w):
        w = (w ^ w >> 16) * 0x85EBCA6B % 2**32
        w = (w ^ w >> 13) * 0xC2B2AE35 % 2**32
        return w ^ w >> 16

    words = [int(word) for word in x.reshape(-1).view(np.uint32)]
    first = sum(w * (2 * i + 1) for i, w in enumerate(words))
    return first % 2**32, sum(mix((w + i * 0x9E3779B9) % 2**32) for i, w in enumerate(words)) % 2**32


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('shape', [(), (1,), (7, 5, 3), (0, 4), (3, BLOCK)])
def test_the_host_and_a_device_agree(dtype, shape):
    x = array(dtype, shape)
    assert host_sums(x) == tuple(map(int, device_sums(x)))


def test_both_are_the_formula():
    x = np.random.default_rng(0).normal(size=(9, 11)).astype(np.float32)
    assert host_sums(x) == formula(x) == tuple(map(int, device_sums(x)))


def test_doubles_too():
    with jax.enable_x64(True):
        x = np.random.default_rng(0).normal(size=(300, 500))
        assert host_sums(x) == tuple(map(int, device_sums(x))) != host_sums(x[:, ::-1])


def test_every_single_bit_matters():
    x = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    seen = {checksums({'x': x})['x']}
    for bit in range(8 * x.nbytes):
        damaged = x.copy()
        damaged.view(np.uint8).reshape(-1)[bit // 8] ^= 1 << bit % 8
        seen.add(checksums({'x': damaged})['x'])
    assert len(seen) == 1 + 8 * x.nbytes


def test_exchanged_and_zeroed_parts_matter():
    x = np.random.default_rng(0).normal(size=4 * BLOCK).astype(np.float32)
    exchanged, zeroed, shifted = x.copy(), x.copy(), np.roll(x, 1)
    exchanged[:BLOCK], exchanged[BLOCK : 2 * BLOCK] = x[BLOCK : 2 * BLOCK], x[:BLOCK]
    zeroed[BLOCK:] = 0
    assert len({checksums({'x': y})['x'] for y in (x, exchanged, zeroed, shifted)}) == 4
    zeros = np.zeros((3, 4), np.float32)
    assert len({checksums({'x': y})['x'] for y in (zeros, zeros[:2], zeros.T, zeros.astype(np.int32))}) == 4


def test_a_tree_has_a_name_for_each_array():
    tree = {'raw': {'genA2B': {'w': jnp.ones(3)}}, 'opt': ({'mu': np.ones(2)}, [np.zeros(1, np.int32)]), 'ema': {}}
    assert list(checksums(tree)) == ['opt/0/mu', 'opt/1/0', 'raw/genA2B/w']
    assert differing({'a': '1', 'b': '2', 'd': '4'}, {'a': '1', 'b': '3', 'c': '4'}) == ['b', 'c', 'd']
    assert digest({'a': 1, 'b': [2.5]}) == digest({'b': [2.5], 'a': 1}) != digest({'a': 1, 'b': [2.0]})


SHARDED = """
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from ugatit_jax.checkpoint.checksums import checksums, on_host
x = np.random.default_rng(0).normal(size=(8, 12, 4)).astype(np.float32)
mesh = jax.make_mesh((4,), ('data',))
for spec in (PartitionSpec('data'), PartitionSpec(None, 'data'), PartitionSpec(None, None, 'data')):
    sharded = jax.device_put(x, NamedSharding(mesh, spec))
    assert not on_host(sharded) and checksums({'x': sharded}) == checksums({'x': x})
assert on_host(jax.device_put(x, NamedSharding(mesh, PartitionSpec())))
"""


def test_sharding_does_not_matter():
    env = {**os.environ, 'XLA_FLAGS': '--xla_force_host_platform_device_count=4'}
    subprocess.run([sys.executable, '-c', SHARDED], cwd=ROOT, check=True, env=env)
