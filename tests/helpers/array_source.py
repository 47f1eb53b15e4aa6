"""A source of images in memory, and data sets of them."""

import numpy as np

from ugatit_jax.data import Datasets


class ArraySource:
    """Images uint8 [n, h, w, 3] under the given keys."""

    def __init__(self, images: np.ndarray, keys: list[str]):
        self.name, self.keys, self.images = 'arrays', keys, images

    def __len__(self) -> int:
        return len(self.images)

    def read(self, i: int) -> np.ndarray:
        return self.images[i]

    def fingerprint(self) -> str:
        return repr(self.keys)


def noise(n: int, seed: int, low: int = 0, high: int = 256, size: int = 32) -> np.ndarray:
    """n images of blocks of 8x8 pixels of random colours in [low, high), uint8 [n, size, size, 3]."""
    small = np.random.default_rng(seed).integers(low, high, (n, size // 8, size // 8, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def paired_datasets(images: np.ndarray, translate, keys_a: list[str] | None = None, keys_b: list[str] | None = None):
    """Test images of A, and of B in the reverse order of A's names: translate(image) of each; both train sets differ.

    Training images are `translate` of each other as sets only: of A and of B there are other ones, in another order.
    """
    n = len(images)
    keys = [f'{i}.png' for i in range(n)]
    train = noise(12, seed=9, low=60, high=180)
    return Datasets(
        train_A=ArraySource(train, [f'a{i}.png' for i in range(12)]),
        train_B=ArraySource(translate(train[::-1]), [f'b{i}.png' for i in range(12)]),
        test_A=ArraySource(images, keys_a or keys),
        test_B=ArraySource(translate(images[::-1]), keys_b or [key.replace('png', 'jpg') for key in keys[::-1]]),
    )
