"""Images to try: the test images of the data that a model was trained on, or those of a folder."""

import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources.open_source import open_source
from ugatit_jax.export.sample_images import without_download
from ugatit_jax.models.names import source_of
from ugatit_jax.translate.input_files import expand, read_image
from ugatit_jax.translate.translator import Translator

TRIES = 10  # of an example, where images of a folder cannot be read


class Examples(NamedTuple):
    """The images to try of one direction."""

    count: int
    read: Callable[[int], np.ndarray]  # uint8 [h, w, C], or DecodeError

    def draw(self, seed: int) -> np.ndarray:
        """An image; the same seed gives the same one. Raises DecodeError where none of several can be read."""
        chosen = random.Random(seed)
        for _ in range(TRIES - 1):
            try:
                return self.read(chosen.randrange(self.count))
            except DecodeError:
                continue
        return self.read(chosen.randrange(self.count))


def find_examples(translators: dict[str, Translator], folder: str = '') -> dict[str, Examples]:
    """Examples by direction: those of `folder` (a file, folder or pattern), else the run's test images where they are here.

    Raises UserError where `folder` holds none.
    """
    if folder:
        return {direction: examples_of_folder(translator, folder) for direction, translator in translators.items()}
    found = {}
    for direction, translator in translators.items():
        try:
            source = open_source(without_download(translator.loaded.config), source_of(direction), 'test', missing_ok=True)
        except (UserError, OSError):  # a model folder does not say where its data was
            continue
        if source is not None and len(source):
            found[direction] = Examples(len(source), source.read)
    return found


def examples_of_folder(translator: Translator, folder: str) -> Examples:
    """Images of a folder, file or pattern; raises UserError."""
    paths = [path for path, _ in expand(folder, '--examples')]
    if not paths:
        raise UserError(f'--examples={folder}: there are no images')
    return Examples(len(paths), lambda i: read_image(paths[i], translator.channels, translator.background))
