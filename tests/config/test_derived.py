"""Values that follow from several fields of a config."""

import pytest

from configs import default
from ugatit_jax.config.derived import load_size
from ugatit_jax.errors import UserError


def sized(image_size, side, crop):
    config = default.get_config()
    config.data.update(image_size=image_size, load_size=side)
    config.augment.crop = crop
    return config


def test_load_size_is_the_releases():
    assert [load_size(sized(size, None, True)) for size in (256, 128, 64)] == [286, 143, 72]
    assert load_size(sized(256, 300, True)) == 300
    assert load_size(sized(256, None, False)) == 256
    assert load_size(sized(256, 256, False)) == 256


@pytest.mark.parametrize('fields', [(256, 255, True), (256, 286, False)])
def test_load_sizes_that_cannot_be_cropped_are_refused(fields):
    with pytest.raises(UserError, match='256'):
        load_size(sized(*fields))
