"""What the page offers of a checkpoint, and the function that turns an uploaded file into result files."""

import logging
import pathlib
import secrets
from typing import NamedTuple

import jax
import numpy as np

from ugatit_jax.common.errors import UserError, short_line
from ugatit_jax.data.decode import DecodeError, decode, failure_reason, open_image
from ugatit_jax.report.drawing import overlay
from ugatit_jax.translate.fitting import restore, restore_heatmap
from ugatit_jax.translate.output_files import encode_image, provenance, write_image
from ugatit_jax.translate.provenance import Credentials
from ugatit_jax.translate.translator import DIRECTIONS, Translator, load

logger = logging.getLogger(__name__)

CHANNELS = (1, 3, 4)  # of images that a browser shows
FRAME_QUALITY = 85  # of JPEG, for images that are seen for a moment
TRAIN, ORIGINAL = 'train', 'original'  # sizes, as --size of ugatit_jax.translate has them


class Limits(NamedTuple):
    """What is accepted."""

    upload: int  # bytes of a file
    pixels: int  # of an uploaded image
    side: int  # the generator sees side**2 pixels at most


class Result(NamedTuple):
    """Files of one translation, PNG."""

    image: str
    heatmap: str | None


def load_translators(checkpoint: str, step: int | str = 'latest', weights: str = 'auto') -> dict[str, Translator]:
    """The translators of a checkpoint by direction, those that it has; raises UserError where it has none."""
    translators, errors = {}, []
    for direction in DIRECTIONS:
        try:
            translators[direction] = load(checkpoint, direction, step=step, weights=weights)
        except UserError as error:
            errors.append(error)
    if not translators:
        raise errors[0]
    for error in errors:
        logger.warning('%s is not served: %s', checkpoint, error)
    for direction, translator in translators.items():
        for channels in (translator.channels, translator.out_channels):
            if channels not in CHANNELS:
                raise UserError(f'{checkpoint}: {direction} has images of {channels} channels, which no browser shows')
    return translators


class ServedModel:
    """The translators of a checkpoint, with limits on what they are given."""

    def __init__(
        self,
        translators: dict[str, Translator],
        limits: Limits,
        metadata: bool = True,
        credentials: Credentials | None = None,
    ):
        """credentials: what signs each result."""
        self.translators, self.limits, self.metadata, self.credentials = translators, limits, metadata, credentials
        self.any = next(iter(translators.values()))
        self.has_heatmap = all(translator.generator.use_cam for translator in translators.values())

    @property
    def sizes(self) -> dict[str, str]:
        """What may be asked for as size, with its words for people."""
        side = self.any.image_size
        sizes = {TRAIN: f'{side} x {side}, as in training'}
        if self.any.fixed_size:
            return sizes
        larger = [side * factor for factor in (2, 4) if side * factor <= self.limits.side]
        sizes |= {str(side): f'{side} x {side}' for side in larger}
        return sizes | {ORIGINAL: f"the image's own, up to {self.limits.side**2 / 1e6:.2g} million pixels"}

    def translate_upload(self, path: str, folder: str, direction: str, size: str = TRAIN, heatmap: bool = False) -> Result:
        """Translates the file at `path` as the command ugatit_jax.translate does, into a new folder in `folder`.

        Raises DecodeError for a file that is no image or too large, UserError for a direction or size that is not offered.
        """
        translator = self.translator(direction)
        if size not in self.sizes:
            raise UserError(f'size {size}: it is one of {", ".join(self.sizes)}')
        pixels = self.decode(pathlib.Path(path).read_bytes(), translator)
        if size == ORIGINAL and pixels.shape[0] * pixels.shape[1] > self.limits.side**2:
            raise UserError(
                f'the image has {pixels.shape[1]}x{pixels.shape[0]} pixels, and at its own size at most '
                f'{self.limits.side**2:,} are translated; take another size, or a smaller image'
            )
        fitted = translator.fit_image(pixels, int(size) if size.isdecimal() else size)
        try:
            out = translator.run(fitted.pixels[None])
        except jax.errors.JaxRuntimeError as error:
            raise UserError(f'{short_line(error)}; a smaller size takes less memory') from error
        texts = self.texts(direction)
        results = pathlib.Path(folder, secrets.token_hex(16))  # nobody guesses it: who knows a path may read the file

        def written(name: str, image: np.ndarray, composite: bool = False) -> str:
            target = str(results / f'{name}.png')
            write_image(target, image, texts, credentials=self.credentials, composite=composite)
            return target

        image = written(f'translated_{direction}', restore(out.image[0], fitted))
        if not (heatmap and self.has_heatmap):
            return Result(image, None)
        attention = overlay(fitted.original[None], restore_heatmap(out.heatmap[0], fitted)[None])[0]
        return Result(image, written(f'heatmap_{direction}', attention, composite=True))

    def translate_frame(self, data: bytes, direction: str) -> bytes:
        """A camera's image file translated at the size of training, as a JPEG file; raises as translate_upload."""
        translator = self.translator(direction)
        translated = translator(self.decode(data, translator))
        return encode_image(translated, 'jpg', self.texts(direction), FRAME_QUALITY, self.credentials)

    def translator(self, direction: str) -> Translator:
        """Of a direction; raises UserError for one that is not offered."""
        if direction not in self.translators:
            raise UserError(f'direction {direction}: this model has {" and ".join(self.translators)}')
        return self.translators[direction]

    def texts(self, direction: str) -> dict[str, str]:
        """Metadata of results."""
        return provenance(self.translators[direction].model, direction) if self.metadata else {}

    def decode(self, data: bytes, translator: Translator) -> np.ndarray:
        """An image file as uint8 [h, w, C]; its number of pixels is read from its header, before it is decoded."""
        if not data:
            raise DecodeError('empty file')
        try:
            with open_image(data) as image:
                width, height = image.size
        except Exception as error:  # whatever Pillow's readers met
            raise DecodeError(failure_reason(data, error)) from error
        if width * height > self.limits.pixels:
            raise DecodeError(f'{width}x{height} pixels: at most {self.limits.pixels:,} are accepted')
        return decode(data, translator.channels, translator.background, to_srgb=True)
