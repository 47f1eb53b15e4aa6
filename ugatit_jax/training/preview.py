"""Preview grids: the same few images through both generators, drawn from step 0 on."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from flax import linen as nn
from ml_collections import ConfigDict
from PIL import Image

from ugatit_jax.data import Datasets, eval_images
from ugatit_jax.data.sources.open_source import spread_out
from ugatit_jax.images import to_rgb
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.report.drawing import grid, overlay
from ugatit_jax.training.state import Params


class PreviewImages(NamedTuple):
    """Images of a preview, float32 [n, h, w, C] in [-1, 1]."""

    A: np.ndarray
    B: np.ndarray


def choose(datasets: Datasets, config: ConfigDict) -> PreviewImages:
    """The run's preview images: evenly spread over the test images, or the training ones where there are none."""
    images = []
    for domain in 'AB':
        source = getattr(datasets, f'test_{domain}') or getattr(datasets, f'train_{domain}')
        images.append(eval_images(source, spread_out(len(source), config.training.preview_images), config))
    return PreviewImages(*images)


@functools.cache
def forward(module: nn.Module) -> Callable[[Params, np.ndarray], GeneratorOutput]:
    """A compiled generator: (params, images) -> GeneratorOutput."""
    return jax.jit(lambda params, images: module.apply({'params': params}, images))


def draw(networks: Networks, generator: Params, images: PreviewImages, with_identity: bool) -> Image.Image:
    """A grid of both directions, a row for each image: real, heatmap, identity, fake, heatmap, cycle.

    A heatmap lies over the image that the generator looked at: the first is that of the translation, the second that
    of the way back. Where the domains differ in channels, there is no identity and its column is missing; without CAM in
    the generators there are no heatmaps.
    """
    blocks = []
    for source, target in (('A', 'B'), ('B', 'A')):
        there, back = f'gen{source}2{target}', f'gen{target}2{source}'
        real = getattr(images, source)
        out = jax.device_get(forward(networks.module(there))(generator[there], real))
        cycle = jax.device_get(forward(networks.module(back))(generator[back], out.image))
        columns = {f'real_{source}': to_rgb(real)}
        if out.heatmap is not None:
            columns['heatmap'] = overlay(real, out.heatmap)
        if with_identity:
            identity = jax.device_get(forward(networks.module(back))(generator[back], real))
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


def save(sheet: Image.Image, workdir: str, step: int) -> epath.Path:
    """Writes WORKDIR/previews/STEP.png and returns its path."""
    path = epath.Path(workdir) / 'previews' / f'{step:08d}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('wb') as file:
        sheet.save(file, 'PNG')
    return path
