"""Flat (A) and 3D (B) emoji, embedded in the package: unpaired to train on, paired to test with (emoji_images/README.md).

Images and weights trained on them may be passed on (MIT licence), which no other unpaired set with true answers allows.
"""

import importlib.resources
import zipfile

import numpy as np

from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import decode

SIDE = 128  # of the stored images
VERSION = 1  # of the stored images, for caches


class Emoji:
    """The emoji of a domain and split, sorted by name; the test images of both domains have the same names."""

    def __init__(self, domain: str, split: str, image_size: int, channels: int, background: tuple[int, int, int]):
        if image_size > SIDE:
            raise UserError(
                f'data.source=emoji with data.image_size={image_size}: its images have {SIDE} pixels, take that or less'
            )
        if channels not in (1, 3, 4):
            raise UserError(f'data.source=emoji has images of 1, 3 or 4 channels, not {channels}')
        self.name = f'emoji/{split}{domain}'
        self._decoding = {'channels': channels, 'background': background}
        path = importlib.resources.files('ugatit_jax.data.sources') / 'emoji_images' / f'{split}{domain}.zip'
        with path.open('rb') as file, zipfile.ZipFile(file) as archive:
            self.keys = sorted(archive.namelist())
            self._files = [archive.read(key) for key in self.keys]  # 1.5 MB at most

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [128, 128, channels]."""
        return decode(self._files[i], **self._decoding)

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        return f'{self.name} {self._decoding} v{VERSION}'
