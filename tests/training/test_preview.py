"""Preview images: colours, grids, the choice of images."""

import numpy as np
from flax import linen as nn

from configs import default
from ugatit_jax.data import open_datasets
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.preview import PreviewImages, choose, draw


def test_the_same_test_images_are_chosen_every_time():
    config = default.get_config()
    config.data.image_size, config.training.preview_images = 32, 3
    datasets = open_datasets(config)
    one, again = choose(datasets, config), choose(datasets, config)
    assert one.A.shape == (3, 32, 32, 3) and (one.A == again.A).all() and (one.B == again.B).all()
    assert not (one.A[0] == one.A[1]).all() and abs(one.A).max() <= 1


def test_without_cam_there_are_no_heatmaps_to_draw():
    class Inverted(nn.Module):
        @nn.compact
        def __call__(self, x):
            return GeneratorOutput(-x, None, None)

    images = np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)
    networks = Networks(Inverted(), Inverted(), None, None)
    sheet = draw(networks, {'genA2B': {}, 'genB2A': {}}, PreviewImages(images, images), with_identity=True)
    assert sheet.size == (4 * 12 + 4, 2 * (2 * 12 + 16 + 4))  # real, identity, fake, cycle
    columns = [sum(sheet.getpixel((12 * i + 4, 16))) for i in range(4)]  # of the darkest pixel, and its negative
    assert columns[0] == columns[3] < 9 and columns[1] == columns[2] > 756
