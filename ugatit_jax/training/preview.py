"""Preview grids: the same few images through both generators, drawn from step 0 on."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from flax import linen as nn
from ml_collections import ConfigDict
from PIL import Image, ImageDraw

from ugatit_jax.data import Datasets, eval_images
from ugatit_jax.data.sources import spread_out
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.state import Params

MARGIN = 4  # pixels between images
HEADER = 16  # pixels above each direction's block, for the columns' names


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


def grid(columns: dict[str, np.ndarray]) -> Image.Image:
    """Columns of images, uint8 [n, h, w, 3] each, under their names."""
    n, h, w, _ = next(iter(columns.values())).shape
    sheet = Image.new('RGB', (len(columns) * (w + MARGIN) + MARGIN, n * (h + MARGIN) + HEADER + MARGIN), 'white')
    draw_text = ImageDraw.Draw(sheet)
    for i, (name, images) in enumerate(columns.items()):
        x = MARGIN + i * (w + MARGIN)
        while draw_text.textlength(name) > w + MARGIN:  # small images
            name = name[:-1]
        draw_text.text((x, 2), name, fill='black')
        for j, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (x, HEADER + j * (h + MARGIN)))
    return sheet


def to_rgb(images: np.ndarray) -> np.ndarray:
    """[n, h, w, C] in [-1, 1] -> uint8 [n, h, w, 3]: grey repeated, of many channels the first three."""
    images = images if images.shape[-1] >= 3 else images[..., :1].repeat(3, axis=-1)
    return np.clip(np.round((images[..., :3] + 1) * 127.5), 0, 255).astype(np.uint8)


def overlay(images: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Heatmaps [n, h/4, w/4] in colours, half and half over images [n, h, w, C] in [-1, 1]: uint8 [n, h, w, 3]."""
    images = to_rgb(images)
    colours = [
        np.asarray(Image.fromarray(jet(heatmap)).resize(image.shape[1::-1], Image.Resampling.BILINEAR))
        for image, heatmap in zip(images, heatmaps, strict=True)
    ]
    return ((images.astype(np.uint16) + np.stack(colours)) // 2).astype(np.uint8)


def jet(heatmap: np.ndarray) -> np.ndarray:
    """heatmap [h, w] from its smallest to its largest value in the colours from blue to red: uint8 [h, w, 3].

    As the PyTorch release colours them; a flat one is all blue, where the release divides by zero.
    """
    span = heatmap.max() - heatmap.min()
    x = (heatmap - heatmap.min()) / (span if span > 0 else 1)
    rgb = np.stack([1.5 - abs(4 * x - peak) for peak in (3, 2, 1)], axis=-1)
    return np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
