"""Damaged TensorFlow checkpoints: the variables that were written, or one line."""

import random

import numpy as np
import pytest

from tests.helpers.damage import flip_bit
from tests.helpers.official_files import write_tensorflow
from ugatit_jax.checkpoint import tensorflow_file
from ugatit_jax.common.errors import UserError

VARIABLES = {f'generator_A/{i}/kernel': np.full((40, 3), i, np.float32) for i in range(6)}


@pytest.fixture
def prefix(tmp_path):
    write_tensorflow(tmp_path / 'm-4', VARIABLES)
    return tmp_path / 'm-4'


def read_or_refuse(prefix):
    """1 where it is refused in one line; what is read has to be what was written, apart from variables that are gone."""
    try:
        found = tensorflow_file.load(str(prefix)).weights
    except UserError as error:
        assert '\n' not in str(error) and str(error).startswith(str(prefix)) and len(str(error)) < 600
        return 1
    for name in found.keys() & VARIABLES.keys():
        np.testing.assert_array_equal(found[name], VARIABLES[name])
    return 0


@pytest.mark.parametrize('suffix', ['.index', '.data-00000-of-00001'])
def test_flipped_bits(prefix, suffix):
    path, rng, refused = prefix.parent / f'{prefix.name}{suffix}', random.Random(0), 0
    whole = path.read_bytes()
    for _ in range(60):
        flip_bit(path, rng.randrange(len(whole)), rng.randrange(8))
        refused += read_or_refuse(prefix)
        path.write_bytes(whole)
    assert refused > 40 and not read_or_refuse(prefix)


@pytest.mark.parametrize('suffix', ['.index', '.data-00000-of-00001'])
@pytest.mark.parametrize('content', [b'', b'x', bytes(4096), b'\xff' * 200])
def test_other_content(prefix, suffix, content):
    (prefix.parent / f'{prefix.name}{suffix}').write_bytes(content)
    assert read_or_refuse(prefix)


@pytest.mark.parametrize('suffix', ['.index', '.data-00000-of-00001'])
def test_truncated_anywhere_and_gone(prefix, suffix):
    path = prefix.parent / f'{prefix.name}{suffix}'
    whole = path.read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        assert read_or_refuse(prefix)
    path.unlink()
    assert read_or_refuse(prefix)
