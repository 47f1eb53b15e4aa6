"""Preview images: colours, grids, the choice of images."""

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from PIL import Image

from configs import default
from ugatit_jax.common.images import denormalize
from ugatit_jax.data import open_datasets
from ugatit_jax.models.generator import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.training import preview
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


class Telling(nn.Module):
    """A generator whose output and heatmap say which module and which weights made it, and of what."""

    shift: float

    @nn.compact
    def __call__(self, x):
        shift = self.shift + self.param('shift', nn.initializers.zeros_init(), ())
        hot = jnp.zeros((x.shape[0], 2, 2)).at[:, 0, 0].set(jnp.where(x[:, 0, 0, 0] > 0.1, 1.0, -1.0))
        return GeneratorOutput(x + shift, None, hot)


def test_every_column_is_made_by_the_generator_that_its_name_says(monkeypatch):
    """genA2B adds 0.25, genB2A subtracts 0.5; heatmaps are hot or cold by the brightness of what the generator saw."""
    seen = []
    monkeypatch.setattr(preview, 'grid', lambda columns: seen.append(columns) or Image.new('RGB', (1, 1)))
    images = PreviewImages(np.full((1, 8, 8, 3), 0.0, np.float32), np.full((1, 8, 8, 3), 0.5, np.float32))
    networks = Networks(Telling(0.125), Telling(-0.25), None, None)  # half of each shift, the weights have the other
    draw(networks, {'genA2B': {'shift': 0.125}, 'genB2A': {'shift': -0.25}}, images, with_identity=True)
    value = [{name: column[0, 4, 4, 0] for name, column in columns.items() if 'heatmap' not in name} for columns in seen]
    level = {shift: denormalize(np.float32(shift)) for shift in (0, 0.5, 0.25, -0.5, -0.25, 0.75)}
    assert value[0] == {'real_A': level[0], 'idt_A': level[-0.5], 'fake_B': level[0.25], 'rec_A': level[-0.25]}
    assert value[1] == {'real_B': level[0.5], 'idt_B': level[0.75], 'fake_A': level[0], 'rec_B': level[0.25]}
    # the first heatmap is that of the translation, the second that of the way back
    hot = [
        [bool(columns[name][0, 0, 0, 0] > columns[name][0, 7, 7, 0]) for name in ('heatmap', 'heatmap ')] for columns in seen
    ]
    assert hot == [[False, True], [True, False]]
