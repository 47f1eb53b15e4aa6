"""Real images that an exported generator is compared on, and that int8 is calibrated with."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict as MutableConfigDict
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.models.names import source_of
from ugatit_jax.translate.input_files import expand, read_image

COMPARED = 4  # images: enough to see a wrong layer, seconds at 256 pixels
CALIBRATION = 32  # images that the ranges of int8 come from: a minute or so at 256 pixels


class SampleImages(NamedTuple):
    """uint8 images [n, side, side, C] of the domain that is translated from."""

    compared: np.ndarray
    calibration: np.ndarray | None  # other images where there are enough; None for noise
    what: str  # in words: '4 test images of emoji'


def sample_images(config: ConfigDict, direction: str, side: int, folder: str = '') -> SampleImages:
    """Images of --images (`folder`: a file, folder or pattern), else of the config's data, else noise.

    Raises UserError where `folder` holds no image that can be read.
    """
    domain = source_of(direction)
    channels, background = config.data[f'channels_{domain}'], tuple(config.data.background)

    unread: list[str] = []  # reasons

    def squares(read: Callable[[int], np.ndarray], count: int, wanted: int) -> np.ndarray:
        """Up to `wanted` readable images of `count`, evenly spaced: [n, side, side, C]."""
        found, unread[:] = [], []
        for i in np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(int)):
            try:
                found.append(fit_square(read(int(i)), side, config.data.fit, background))
            except DecodeError as error:
                unread.append(str(error))
        return np.stack(found) if found else np.empty((0, side, side, channels), np.uint8)

    if folder:
        paths = [path for path, _ in expand(folder, '--images')]
        images = squares(lambda i: read_image(paths[i], channels, background), len(paths), COMPARED + CALIBRATION)
        if not len(images):
            raise UserError(f'--images={folder}: there is no image that can be read; the first is {unread[0]}')
        enough = len(images) > COMPARED
        compared, calibration = (images[:COMPARED], images[COMPARED:]) if enough else (images, images)
        return SampleImages(compared, calibration, f'{len(compared)} images of {folder}')
    try:
        splits = [open_source(without_download(config), domain, split) for split in ('test', 'train')]
        compared, calibration = (
            squares(source.read, len(source), wanted) for source, wanted in zip(splits, (COMPARED, CALIBRATION))
        )
        if len(compared) and len(calibration):
            return SampleImages(compared, calibration, f'{len(compared)} test images of {config.data.source}')
    except (UserError, OSError):
        pass  # a model folder does not say where its data was
    noise = np.random.default_rng(0).integers(0, 256, (COMPARED, side, side, channels), np.uint8)
    return SampleImages(noise, None, 'noise, as the data of training is not here (--images=DIR takes yours)')


def without_download(config: ConfigDict) -> ConfigDict:
    """The config with data.download=False: an export downloads no data set."""
    mutable = MutableConfigDict(config.to_dict())
    mutable.data.download = False
    return ConfigDict(mutable)
