"""Small images, files and folders of them, made on the spot."""

import io
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from tests.helpers.paths import ROOT

UGLY = ROOT.parent / 'shared' / 'data' / 'ugly'  # files as the world has them, good and bad


def smooth(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """A smooth random image: uint8 [height, width, channels]."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), np.uint8)
    planes = [Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def encoded(pixels: np.ndarray, format: str = 'PNG', **options: Any) -> bytes:
    """The image as a file's bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[-1] != 1 else pixels[..., 0]).save(stream, format, **options)
    return stream.getvalue()


def make_folder(root: pathlib.Path, counts: dict[str, int], side: int = 24) -> pathlib.Path:
    """Writes images that all differ: {'trainA': 3} gives root/trainA/000.png to 002.png."""
    for s, (split, count) in enumerate(counts.items()):
        (root / split).mkdir(parents=True)
        for i in range(count):
            (root / split / f'{i:03d}.png').write_bytes(encoded(smooth(side, side, seed=1000 * s + i)))
    return root
