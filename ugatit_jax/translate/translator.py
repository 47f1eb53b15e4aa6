"""A trained generator as a function of images."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators
from ugatit_jax.compiler import on_cpu
from ugatit_jax.data.preprocess import FIT_MODES
from ugatit_jax.errors import UserError
from ugatit_jax.images import denormalize, normalize
from ugatit_jax.models import Generator
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.fitting import MULTIPLE, SMALLEST, Fitted, fit, restore, restore_heatmap
from ugatit_jax.translate.tiles import TiledGenerator, unsupported

DIRECTIONS = {'a2b': 'genA2B', 'b2a': 'genB2A'}


class Translation(NamedTuple):
    """What a generator made of images of one size, before they go back to theirs."""

    image: np.ndarray  # [n, h, w, C], uint8 or float32 in [-1, 1] as the input was
    heatmap: np.ndarray | None  # float32 [n, h/4, w/4]; None for a generator without CAM


def load(
    path: str,
    direction: str = 'a2b',
    *,
    step: int | str = 'latest',
    weights: str = 'auto',
    tile: int = 512,
    batch_size: int | None = None,
) -> 'Translator':
    """The Translator of a trained generator; reads that one network only.

    path: WORKDIR, or WORKDIR/checkpoints/STEP. direction: 'a2b' or 'b2a'. step: 'latest', 'best' or a number. weights:
    'raw', 'ema', or 'auto' for the averaged ones where there are some. tile: images of more than (2 * tile)**2 pixels
    go by tiles of this side, with the same result and less memory (see tiles.py); 0 for never, as for ablated
    generators. batch_size: images at once, at most; by default 8, and 1 on CPU, where more take longer each. Raises
    UserError for what cannot be.
    """
    if direction not in DIRECTIONS:
        raise UserError(f'direction={direction!r}: it is one of {", ".join(map(repr, DIRECTIONS))}')
    if tile < 0 or tile % 8:
        raise UserError(f'tile={tile}: it is a multiple of 8, or 0 for no tiles')
    if batch_size is None:
        batch_size = 1 if on_cpu() else 8
    if batch_size < 1:
        raise UserError(f'batch_size={batch_size}: it is 1 or more')
    loaded = load_generators(path, step, weights, (DIRECTIONS[direction],))
    return Translator(loaded, direction, tile, batch_size)


class Translator:
    """translator(images) -> images of the other domain; see `load` for making one.

    Images are [h, w, C] or [n, h, w, C], uint8 or floats in [-1, 1], RGB for most models (`channels`); results have the
    same form. size: 'train' goes through the generator at the size it was trained at and comes back at the given one;
    'original' goes as it is, at any size (a full model takes its own only); a number goes at that size. fit: how
    images that are not square become so, as data.fit; by default as in training. One program is compiled for each
    size, rounded up to multiples of 4, and each power of two in the number of images.
    """

    def __init__(self, loaded: LoadedGenerators, direction: str, tile: int = 512, batch_size: int = 8):
        config = loaded.config
        there, back = direction.upper().split('2')
        self.loaded, self.direction, self.tile, self.batch_size = loaded, direction, tile, batch_size
        self.generator: Generator = getattr(make_networks(config), DIRECTIONS[direction])
        self.channels, self.out_channels = config.data[f'channels_{there}'], config.data[f'channels_{back}']
        self.image_size = config.data.image_size
        self.tied = config.model.mlp_pool == 'full'
        self.background = tuple(config.data.background)
        params = loaded.generator[DIRECTIONS[direction]]
        self.params = jax.device_put(params)
        self.forward = jax.jit(functools.partial(forward, self.generator))
        self.tiled = TiledGenerator(self.generator, self.params, tile) if tile and not unsupported(self.generator) else None

    def __call__(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """uint8 or float [h, w, C] or [n, h, w, C] -> the same with the other domain's channels, uint8 or float32.

        With fit='short_side_crop' the square in the middle comes back. Raises UserError.
        """
        fitted, translations, single = self.many(images, size, fit)
        out = [restore(image, f) for f, image in zip(fitted, translations.image)]
        return out[0] if single else np.stack(out)

    def heatmap(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """Where the generator looks: float32 [h, w] or [n, h, w], not negative, as large as the images."""
        fitted, translations, single = self.many(images, size, fit)
        if translations.heatmap is None:
            raise UserError(f'{self.loaded.where} has no heatmap: its generators have no CAM')
        out = [restore_heatmap(heatmap, f) for f, heatmap in zip(fitted, translations.heatmap)]
        return out[0] if single else np.stack(out)

    def cycle(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """There and back again, through both generators at the network's size: as the images."""
        fitted, translations, single = self.many(images, size, fit)
        again = self.back.run(translations.image).image
        out = [restore(image, f) for f, image in zip(fitted, again)]
        return out[0] if single else np.stack(out)

    @functools.cached_property
    def back(self) -> 'Translator':
        """The Translator of the other direction, of the same checkpoint; read when it is first asked for."""
        t = self.loaded
        return load(
            t.where,
            '2'.join(reversed(self.direction.split('2'))),
            step=t.step,
            weights=t.weights,
            tile=self.tile,
            batch_size=self.batch_size,
        )

    @property
    def model(self) -> str:
        """Which weights these are, for people: the workdir's name, step and kind."""
        workdir = self.loaded.where.rstrip('/').split('/')[-3]
        return f'{workdir} step {self.loaded.step} {self.loaded.weights}'

    def many(self, images: np.ndarray, size: int | str, fit: str | None) -> tuple[list[Fitted], Translation, bool]:
        """The images of a call as fitted, their translations, and whether it was a single one."""
        pixels = np.asarray(images)
        single = pixels.ndim == 3
        pixels = self.checked(pixels[None] if single else pixels)
        fitted = [self.fit(image, size, fit) for image in pixels]
        x = np.stack([f.pixels for f in fitted])
        return fitted, self.run(x if x.dtype == np.uint8 else normalize(x)), single

    def checked(self, images: np.ndarray) -> np.ndarray:
        """uint8 as it is, floats as float32 in 0..255; raises UserError for what are no images of this generator."""
        wanted = f'[h, w, {self.channels}] or [n, h, w, {self.channels}]'
        if images.ndim != 4 or images.shape[-1] != self.channels or 0 in images.shape:
            raise UserError(f'images of shape {list(images.shape)}: {self.direction} of this model takes {wanted}')
        if images.dtype == np.uint8:
            return images
        if not np.issubdtype(images.dtype, np.floating):
            raise UserError(f'images of {images.dtype}: uint8 is taken, or floats in [-1, 1]')
        low, high = float(images.min()), float(images.max())
        if not (low >= -1.001 and high <= 1.001):  # also true for NaN
            raise UserError(f'float images from {low:g} to {high:g}: they are in [-1, 1]; divide by 127.5 and subtract 1')
        return (images.astype(np.float32) + 1) * np.float32(127.5)

    def fit(self, pixels: np.ndarray, size: int | str = 'train', mode: str | None = None) -> Fitted:
        """An image [h, w, C] in 0..255 as `run` takes it; raises UserError for a size that the model cannot take."""
        return fit(pixels, self.side(size), self.fit_mode(mode), self.background)

    def fit_mode(self, mode: str | None) -> str:
        """The way to a square, by default training's; raises UserError."""
        mode = mode or self.loaded.config.data.fit
        if mode not in FIT_MODES:
            raise UserError(f'fit={mode!r}: it is one of {", ".join(FIT_MODES)}')
        return mode

    def side(self, size: int | str) -> int | None:
        """The square's side for a size, None for none; raises UserError."""
        side = {'train': self.image_size, 'original': None}.get(size, size)
        if side is not None and (not isinstance(side, int) or side < SMALLEST or side % MULTIPLE):
            raise UserError(f"size={size}: it is 'train', 'original' or a multiple of {MULTIPLE} from {SMALLEST} on")
        if self.tied and side != self.image_size:
            raise UserError(
                f"size={size}: {self.loaded.where} is a full model (model.mlp_pool='full'), whose weights are tied to "
                f"{self.image_size}x{self.image_size} pixels; size='train' takes images of any size through that one"
            )
        return side

    def run(self, x: np.ndarray) -> Translation:
        """Images [n, h, w, C] of one size, multiples of 4: uint8, or float32 in [-1, 1] -> Translation."""
        if self.tiled and x.shape[1] * x.shape[2] > (2 * self.tile) ** 2:
            images, heatmaps = zip(*map(self.tiled, x))
            return Translation(np.stack(images), np.stack(heatmaps))
        parts, at_once = [], self.batch_size
        if self.tiled:  # no more memory for many images than for the largest untiled one
            at_once = max(1, min(at_once, (2 * self.tile) ** 2 // (x.shape[1] * x.shape[2])))
        for start in range(0, len(x), at_once):
            part = x[start : start + at_once]
            room = min(1 << (len(part) - 1).bit_length(), at_once)
            # repeated up to a power of two, so that few programs serve all numbers
            out = self.forward(self.params, part[np.arange(room) % len(part)])
            parts.append([None if y is None else y[: len(part)] for y in out])
        image, heatmap = (None if part[0] is None else np.concatenate(jax.device_get(part)) for part in zip(*parts))
        return Translation(image, heatmap)


def forward(generator: Generator, params: dict, x: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Images, uint8 or float32 in [-1, 1] -> images of the same type, heatmaps."""
    out = generator.apply({'params': params}, normalize(x) if x.dtype == jnp.uint8 else x)
    image = out.image
    if x.dtype == jnp.uint8:
        image = denormalize(image)
    return image, out.heatmap
