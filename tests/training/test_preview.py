"""Preview images: colours, grids, the choice of images."""

import numpy as np
import pytest
from flax import linen as nn

from configs import default
from ugatit_jax.data import open_datasets
from ugatit_jax.images import to_rgb
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.report.drawing import grid, jet, overlay
from ugatit_jax.training.preview import PreviewImages, choose, draw


def test_jet_runs_from_blue_to_red_and_a_flat_heatmap_is_blue():
    colours = jet(np.array([[0.0, 0.5, 1.0]]) * 7 - 3)
    assert colours.tolist() == [[[0, 0, 128], [128, 255, 128], [128, 0, 0]]]
    assert (jet(np.full((2, 2), 5.0)) == [0, 0, 128]).all()


@pytest.mark.parametrize('channels', [1, 2, 3, 4, 6])
def test_to_rgb(channels):
    images = np.broadcast_to(np.linspace(-1, 1, channels) if channels > 1 else [1.0], (2, 4, 4, channels))
    expected = images[..., [0, 0, 0]] if channels < 3 else images[..., :3]
    np.testing.assert_allclose(to_rgb(images), (expected + 1) * 127.5, atol=0.51)


def test_overlay_is_half_image_half_heatmap():
    heatmap = np.zeros((1, 2, 2))
    heatmap[0, 0, 0] = 1
    out = overlay(np.ones((1, 8, 8, 3)), heatmap)
    assert out[0, 0, 0].tolist() == [(255 + 128) // 2, 127, 127] and out[0, 7, 7].tolist() == [127, 127, (255 + 128) // 2]


def test_grid_has_a_column_for_each_name():
    sheet = grid({'a': np.zeros((3, 8, 8, 3), np.uint8), 'b': np.full((3, 8, 8, 3), 200, np.uint8)})
    assert sheet.size == (2 * 12 + 4, 3 * 12 + 16 + 4)
    assert sheet.getpixel((5, 17)) == (0, 0, 0) and sheet.getpixel((17, 29)) == (200, 200, 200)


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
