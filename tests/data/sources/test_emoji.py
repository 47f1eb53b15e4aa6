"""The embedded emoji."""

import numpy as np
import pytest

from tests.helpers.small import default_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.data.sources.emoji import Emoji


def test_unpaired_to_train_on_and_paired_to_test_with():
    data = open_datasets(resolve(default_config(data__source='emoji', data__image_size=128)))
    assert (len(data.train_A), len(data.train_B), len(data.test_A), len(data.test_B)) == (665, 665, 120, 120)
    assert not set(data.train_A.keys) & set(data.train_B.keys)
    assert not set(data.test_A.keys) & (set(data.train_A.keys) | set(data.train_B.keys))
    assert data.test_A.keys == data.test_B.keys == sorted(data.test_A.keys)
    flat, solid = (np.stack([source.read(i) for i in range(120)]) for source in (data.test_A, data.test_B))
    assert flat.shape == solid.shape == (120, 128, 128, 3) and flat.dtype == np.uint8
    # the styles differ, and a pair is more alike than two emoji are
    apart = [np.abs(flat.astype(float) - np.roll(solid, shift, axis=0)).mean() for shift in (0, 1)]
    assert 10 < apart[0] < 0.5 * apart[1]


def test_channels_sizes_and_fingerprints():
    rgba = Emoji('A', 'test', 64, 4, (255, 255, 255))
    assert rgba.read(0).shape == (128, 128, 4) and rgba.fingerprint() != Emoji('B', 'test', 64, 4, (0, 0, 0)).fingerprint()
    with pytest.raises(UserError, match='data.image_size=256: its images have 128 pixels'):
        Emoji('A', 'train', 256, 3, (255, 255, 255))
    with pytest.raises(UserError, match='not 5'):
        Emoji('A', 'train', 64, 5, (255, 255, 255))
