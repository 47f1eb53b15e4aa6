"""Values that follow from several fields of a config."""

import pytest

from tests.helpers.small import default_config
from ugatit_jax.config.derived import load_size, loss_weight, uses_identity
from ugatit_jax.config.resolve import resolve
from ugatit_jax.errors import UserError


def sized(image_size, side, crop):
    return default_config(data__image_size=image_size, data__load_size=side, augment__crop=crop)


def test_load_size_is_the_releases():
    assert [load_size(sized(size, None, True)) for size in (256, 128, 64)] == [286, 143, 72]
    assert load_size(sized(256, 300, True)) == 300
    assert load_size(sized(256, None, False)) == 256
    assert load_size(sized(256, 256, False)) == 256


@pytest.mark.parametrize('fields', [(256, 255, True), (256, 286, False)])
def test_load_sizes_that_cannot_be_cropped_are_refused(fields):
    with pytest.raises(UserError, match='256'):
        load_size(sized(*fields))


def test_a_weight_of_one_direction_wins_over_that_of_both():
    c = resolve(default_config(loss__cycle_weight=5.0, loss__cycle_weight_B2A=2.0, loss__cam_weight_A2B=0.0))
    weights = [loss_weight(c, name, way) for name in ('cycle_weight', 'cam_weight') for way in ('A2B', 'B2A')]
    assert weights == [5, 2, 0, 1000]
    off = {f'loss__{name}_weight_{way}': 0.0 for name in ('identity', 'cam') for way in ('A2B', 'B2A')}
    assert uses_identity(c) and not uses_identity(resolve(default_config(**off)))
