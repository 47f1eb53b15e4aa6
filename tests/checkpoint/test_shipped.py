"""The weights that come with the package, on images whose true translation is known."""

import numpy as np
import pytest

import ugatit_jax
from ugatit_jax.checkpoint.model_folder import SHIPPED, shipped_names
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.models.names import source_of, target_of


@pytest.mark.parametrize('direction', ['a2b', 'b2a'])
@pytest.mark.parametrize('name', ['emoji', 'emoji_student'])
def test_emoji_weights_are_nearer_to_the_true_images_than_their_input_is(name, direction):
    config = default.get_config()
    config.data.source, config.data.image_size = 'emoji', 128
    images = {}
    for domain in 'AB':
        source = open_source(resolve(config), domain, 'test')
        images[domain] = np.stack([source.read(i) for i in range(0, len(source), 6)]).astype(float)
    real, truth = images[source_of(direction)], images[target_of(direction)]
    fake = ugatit_jax.load(name, direction)(real.astype(np.uint8), size='original')
    assert np.abs(fake - truth).mean() < 0.95 * np.abs(real - truth).mean()


def test_shipped_weights_are_small_and_have_licence_and_origin():
    largest = {'emoji': 6e6, 'emoji_student': 0.2e6}
    assert shipped_names() == list(largest)
    for name, size in largest.items():
        files = list((SHIPPED / name).glob('*.safetensors'))
        assert len(files) == 2 and all(file.stat().st_size < size for file in files)
        card = (SHIPPED / name / 'README.md').read_text()
        assert 'license: mit' in card and 'Fluent Emoji' in card
