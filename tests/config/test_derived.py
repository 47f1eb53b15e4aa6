"""Values that follow from several fields of a config."""

import pytest

from tests.helpers.small import default_config
from ugatit_jax.config.derived import load_size, loss_weight, uses_identity
from ugatit_jax.config.resolve import resolve


@pytest.mark.parametrize('resolved', [False, True])
def test_load_size_is_that_of_the_release(resolved):
    """TensorFlow: img_size + (30 if img_size > 256 else 15); PyTorch: img_size + 30."""

    def side(**fields):
        config = default_config(**fields)
        return load_size(resolve(config) if resolved else config)

    sizes = (512, 256, 128)
    assert [side(data__image_size=size) for size in sizes] == [542, 271, 143]
    assert [side(data__image_size=size, model__reference='pytorch') for size in sizes] == [542, 286, 158]
    assert side(data__load_size=300) == 300 and side(augment__crop=False) == 256


def test_a_weight_of_one_direction_wins_over_that_of_both():
    c = resolve(default_config(loss__cycle_weight=5.0, loss__cycle_weight_B2A=2.0, loss__cam_weight_A2B=0.0))
    weights = [loss_weight(c, name, way) for name in ('cycle_weight', 'cam_weight') for way in ('A2B', 'B2A')]
    assert weights == [5, 2, 0, 1000]
    off = {f'loss__{name}_weight_{way}': 0.0 for name in ('identity', 'cam') for way in ('A2B', 'B2A')}
    assert uses_identity(c) and not uses_identity(resolve(default_config(**off)))
