"""The drawn faces: both domains, their masks, and that they never change."""

import numpy as np
import pytest

from ugatit_jax.common.errors import UserError
from ugatit_jax.data.sources.synthetic import Synthetic, draw_face, random_face


def test_deterministic_distinct_and_of_any_size():
    for size in (32, 65):
        a = Synthetic('A', 'train', size)
        assert len(a) == 200
        assert a.read(3).shape == (size, size, 3)
        assert a.read(3).dtype == np.uint8
        np.testing.assert_array_equal(a.read(3), Synthetic('A', 'train', size).read(3))
    images = [
        Synthetic(domain, split, 32).read(i).tobytes() for domain in 'AB' for split in ('train', 'test') for i in range(20)
    ]
    assert len(set(images)) == 80


def test_sizes_show_the_same_image():
    small, large = (Synthetic('B', 'test', size).read(1).astype(float) for size in (32, 64))
    assert np.abs(large.reshape(32, 2, 32, 2, 3).mean((1, 3)) - small).mean() < 4


@pytest.mark.parametrize('domain', 'AB')
def test_mask_holds_what_tells_the_domains_apart(domain):
    other = {'A': 'B', 'B': 'A'}[domain]
    source = Synthetic(domain, 'train', 64)
    for i in range(4):
        mask = source.mask(i)
        assert mask.shape == (64, 64)
        assert mask.dtype == bool
        assert 0.1 < mask.mean() < 0.6
        face = random_face(domain, 'train', i)
        changed = draw_face(face, other, 64)  # the other domain's shapes with the same colours and place
        differs = np.abs(np.asarray(changed).astype(int) - source.read(i)).max(-1) > 40
        assert differs.mean() > 0.03
        assert (differs & ~mask).sum() <= 0.02 * differs.sum()  # antialiased edges


def test_background_does_not_tell_the_domain():
    corners = {
        domain: np.array([Synthetic(domain, 'train', 16).read(i)[0, 0] for i in range(200)], float) for domain in 'AB'
    }
    difference = np.abs(corners['A'].mean(0) - corners['B'].mean(0))
    assert (difference < 4 * np.sqrt(2 / 200) * corners['A'].std(0)).all()


def test_channels():
    assert Synthetic('A', 'test', 16, 1).read(0).shape == (16, 16, 1)
    assert (Synthetic('A', 'test', 16, 4).read(0)[..., 3] == 255).all()
    with pytest.raises(UserError, match='1, 3 or 4 channels, not 5'):
        Synthetic('A', 'test', 16, 5)
    with pytest.raises(UserError, match='synthetic:cars: the embedded sets are faces'):
        Synthetic('A', 'test', 16, 3, 'cars')
