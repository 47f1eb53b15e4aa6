"""Preview grids: the same few images through both generators, drawn from step 0 on."""

import io
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict
from PIL import Image

from ugatit_jax.common.files import atomic_write_bytes
from ugatit_jax.common.images import to_rgb
from ugatit_jax.data import Datasets, eval_images
from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.names import DIRECTIONS, generator_of, reverse_of, source_of, target_of
from ugatit_jax.models.networks import Networks
from ugatit_jax.report.drawing import grid, overlay
from ugatit_jax.training.types import Params


class PreviewImages(NamedTuple):
    """Images of a preview, float32 [n, h, w, C] in [-1, 1]."""

    A: np.ndarray
    B: np.ndarray


def choose(datasets: Datasets, config: ConfigDict) -> PreviewImages:
    """The run's preview images: evenly spaced test images, or training images where there are none."""
    images = []
    for domain in 'AB':
        source = getattr(datasets, f'test_{domain}') or getattr(datasets, f'train_{domain}')
        images.append(eval_images(source, evenly_spaced_indices(len(source), config.training.preview_images), config))
    return PreviewImages(*images)


def draw(networks: Networks, generator: Params, images: PreviewImages, with_identity: bool) -> Image.Image:
    """A grid of both directions, a row for each image: real, heatmap, identity, fake, heatmap, cycle.

    A heatmap lies over the image that the generator looked at: the first is that of the translation, the second that of
    the way back. Domains with different channels have no identity and no column for it; generators without CAM have no
    heatmaps.
    """
    blocks = []
    for direction in DIRECTIONS:
        there, back = generator_of(direction), generator_of(reverse_of(direction))
        source, target = source_of(direction), target_of(direction)
        real = getattr(images, source)
        out = jax.device_get(compiled_generator(networks.module(there))(generator[there], real))
        cycle = jax.device_get(compiled_generator(networks.module(back))(generator[back], out.image))
        columns = {f'real_{source}': to_rgb(real)}
        if out.heatmap is not None:
            columns['heatmap'] = overlay(real, out.heatmap)
        if with_identity:
            identity = jax.device_get(compiled_generator(networks.module(back))(generator[back], real))
            columns[f'idt_{source}'] = to_rgb(identity.image)
        columns[f'fake_{target}'] = to_rgb(out.image)
        if out.heatmap is not None:
            columns['heatmap '] = overlay(out.image, cycle.heatmap)
        columns[f'rec_{source}'] = to_rgb(cycle.image)
        blocks.append(grid(columns))
    sheet = Image.new('RGB', (blocks[0].width, sum(block.height for block in blocks)), 'white')
    for i, block in enumerate(blocks):
        sheet.paste(block, (0, blocks[0].height * i))
    return sheet


def save(sheet: Image.Image, folder: epath.PathLike, step: int) -> epath.Path:
    """Writes FOLDER/previews/STEP.png and returns its path."""
    path = epath.Path(folder) / 'previews' / f'{step:08d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    sheet.save(file, 'PNG')
    return atomic_write_bytes(path, file.getvalue())
