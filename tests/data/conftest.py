"""Small images and folders made on the spot; nothing of the user's cache folder is touched."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

from configs import default

UGLY = pathlib.Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'ugly'


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch):
    path = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('XDG_CACHE_HOME', str(path))
    return path


@pytest.fixture
def config():
    """The default configuration at 16 pixels."""
    config = default.get_config()
    config.data.image_size = 16
    config.data.batch_size = 2
    config.seed = 3
    return config


def smooth(height: int, width: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """A smooth random image: uint8 [height, width, channels]."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), np.uint8)
    planes = [Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def encoded(pixels: np.ndarray, format: str = 'PNG', **options) -> bytes:
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
