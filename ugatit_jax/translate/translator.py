"""A trained generator as a function of images: `ugatit_jax.load` and the Translator that it returns."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators
from ugatit_jax.common.compiler import on_cpu
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize
from ugatit_jax.common.progress import announced
from ugatit_jax.data.preprocess import FIT_MODES
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.generator import Generator, GeneratorOutput, min_side
from ugatit_jax.models.names import generator_of, reverse_of, source_of, target_of
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.defaults import DEFAULT_BATCH_SIZE, DEFAULT_TILE, DIRECTIONS
from ugatit_jax.translate.fitting import FittedImage, fit, restore, restore_heatmap
from ugatit_jax.translate.tiled_generator import TiledGenerator, unsupported_reason

WEIGHTS = ('auto', 'raw', 'ema')
RANGE_TOLERANCE = 1e-3  # of floats in [-1, 1]: rounding errors of other code's normalisation
LARGEST_SIDE = 13376  # its square is what Pillow takes for the largest image that is no decompression bomb


def load(
    path: str | os.PathLike[str],
    direction: str = 'a2b',
    *,
    step: int | str = 'latest',
    weights: str = 'auto',
    tile: int = DEFAULT_TILE,
    batch_size: int | None = None,
) -> 'Translator':
    """Loads a trained generator as a Translator; reads that one network only.

    path: WORKDIR, WORKDIR/checkpoints/STEP, a folder that ugatit_jax.export wrote, hf://OWNER/NAME where such a folder is on
    the Hugging Face Hub (OWNER/NAME@REVISION for another than the newest), or the name of a model that comes with the
    package. direction: 'a2b' or 'b2a', or in capitals. step: 'latest', 'best' or a number. weights:
    'raw', 'ema', or 'auto' for the averaged ones where there are some. tile: images of more than (2 * tile)**2 pixels
    go by tiles of this side, with the same result and less memory (see tiled_generator.py); 0 for never. Ablated generators
    and full models never do. batch_size: images at once, at most; by default 8, and 1 on CPU, where larger batches take
    longer per image. Raises UserError for arguments that do not work and for what the checkpoint does not have.
    """
    if str(direction).lower() not in DIRECTIONS:
        raise UserError(f'direction={direction!r}: it is one of {", ".join(map(repr, DIRECTIONS))}')
    direction = direction.lower()
    if step not in ('latest', 'best') and not isinstance(step, int | np.integer):
        raise UserError(f"step={step!r}: it is 'latest', 'best' or a number")
    if weights not in WEIGHTS:
        raise UserError(f'weights={weights!r}: it is one of {", ".join(map(repr, WEIGHTS))}')
    if tile < 0 or tile % 8:  # maps of lower resolution go by a half and a quarter of it, which stay even
        raise UserError(f'tile={tile}: it is a multiple of 8, or 0 for no tiles')
    if batch_size is None:
        batch_size = 1 if on_cpu() else DEFAULT_BATCH_SIZE
    if batch_size < 1:
        raise UserError(f'batch_size={batch_size}: it is 1 or more')
    loaded = load_generators(os.fspath(path), step, weights, (generator_of(direction),))
    return Translator(loaded, direction, tile, batch_size)


class Translator:
    """translator(images) -> images of the other domain; `load` makes one.

    Images are [h, w, C] or [n, h, w, C], uint8 or floats in [-1, 1], RGB for most models (`channels`); results have the
    same form. size: 'train' resizes to the size of training and the result back to that of the image; 'original' keeps the
    size, whatever it is (not for full models, which take their own only); a number is the side of a square. fit: how
    images that are not square become so, as data.fit; by default as in training. One program is compiled for each
    size, rounded up to what the generator's halvings need (multiples of 4), and each power of two in the number of images.
    """

    def __init__(
        self, loaded: LoadedGenerators, direction: str, tile: int = DEFAULT_TILE, batch_size: int = DEFAULT_BATCH_SIZE
    ):
        config, name = loaded.config, generator_of(direction)
        self.loaded, self.direction, self.tile, self.batch_size = loaded, direction, tile, batch_size
        self.generator: Generator = make_networks(config).module(name)
        self.channels = config.data[f'channels_{source_of(direction)}']
        self.out_channels = config.data[f'channels_{target_of(direction)}']
        self.image_size = config.data.image_size
        self.fixed_size = config.model.mlp_pool == 'full'
        self.background = tuple(config.data.background)
        self.params = jax.device_put(loaded.generator[name])
        self.forward = compiled_generator(self.generator)
        self.compiled_shapes: set[tuple[int, ...]] = set()
        tiles = tile and not unsupported_reason(self.generator)
        self.tiled = TiledGenerator(self.generator, self.params, tile) if tiles else None

    def __call__(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """uint8 or float [h, w, C] or [n, h, w, C] -> the same with the other domain's channels, uint8 or float32.

        With fit='short_side_crop' the result is the square in the middle. Raises UserError.
        """
        fitted, out, single = self.fit_and_run(images, size, fit)
        results = [restore(image, f) for f, image in zip(fitted, out.image)]
        return results[0] if single else np.stack(results)

    def heatmap(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """Where the generator looks: float32 [h, w] or [n, h, w], not negative, as large as the images."""
        self.require_heatmap()
        fitted, out, single = self.fit_and_run(images, size, fit)
        results = [restore_heatmap(heatmap, f) for f, heatmap in zip(fitted, out.heatmap)]
        return results[0] if single else np.stack(results)

    def cycle(self, images: np.ndarray, size: int | str = 'train', fit: str | None = None) -> np.ndarray:
        """The images through both generators, there and back, without resizing in between; shapes as the images'."""
        fitted, out, single = self.fit_and_run(images, size, fit)
        results = [restore(image, f) for f, image in zip(fitted, self.reverse.run(out.image).image)]
        return results[0] if single else np.stack(results)

    @functools.cached_property
    def reverse(self) -> 'Translator':
        """The Translator of the other direction, from the same checkpoint; read when it is first used."""
        return load(
            self.loaded.where,
            reverse_of(self.direction),
            step=self.loaded.step,
            weights=self.loaded.weights,
            tile=self.tile,
            batch_size=self.batch_size,
        )

    @property
    def model(self) -> str:
        """The model in words: its name, step and kind of weights."""
        return f'{self.loaded.name} step {self.loaded.step} {self.loaded.weights}'

    def __repr__(self) -> str:
        size = f'{self.image_size}x{self.image_size} pixels{"" if self.fixed_size else " or any other size"}'
        channels = f'{self.channels} to {self.out_channels} channels'
        return f'<Translator {self.direction}: {self.model}, {size}, {channels}, from {self.loaded.where}>'

    def require_heatmap(self) -> None:
        """Raises UserError for a generator without CAM."""
        if not self.generator.use_cam:
            raise UserError(f'{self.loaded.where} has no heatmap: its generators have no CAM')

    def fit_and_run(
        self, images: np.ndarray, size: int | str, fit: str | None
    ) -> tuple[list[FittedImage], GeneratorOutput, bool]:
        """The images of a call as fitted, the generator's output for them, and whether it was a single image."""
        if fit and size == 'original':
            raise UserError(f"fit={fit!r} has no effect with size='original', which keeps the shape; leave one out")
        try:
            images = np.asarray(images)
        except ValueError as error:  # a list of images of several shapes
            raise UserError('images of several shapes: those of a call have one; call it for each') from error
        single = images.ndim == 3
        pixels = self.as_pixels(images[None] if single else images)
        fitted = [self.fit_image(image, size, fit) for image in pixels]
        x = np.stack([f.pixels for f in fitted])
        return fitted, self.run(x if x.dtype == np.uint8 else normalize(x)), single

    def as_pixels(self, images: np.ndarray) -> np.ndarray:
        """Images [n, h, w, C] in 0..255: uint8 as they are, floats as float32; raises UserError for other arrays."""
        expected = f'[h, w, {self.channels}] or [n, h, w, {self.channels}]'
        if images.ndim != 4 or images.shape[-1] != self.channels or 0 in images.shape:
            raise UserError(f'images of shape {list(images.shape)}: {self.direction} of this model takes {expected}')
        if images.dtype == np.uint8:
            return images
        if not jnp.issubdtype(images.dtype, jnp.floating):  # NumPy does not count bfloat16
            raise UserError(f'images of {images.dtype}: uint8 is taken, or floats in [-1, 1]')
        low, high = float(images.min()), float(images.max())
        if not (low >= -1 - RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # also true for NaN
            raise UserError(f'float images from {low:g} to {high:g}: they are in [-1, 1]; divide by 127.5 and subtract 1')
        return (images.astype(np.float32) + 1) * np.float32(127.5)  # not rounded, which denormalize does

    def fit_image(self, pixels: np.ndarray, size: int | str = 'train', mode: str | None = None) -> FittedImage:
        """An image [h, w, C] in 0..255 as the generator takes it; raises UserError for a size that does not work."""
        return fit(pixels, self.network_side(size), self.fit_mode(mode), self.background, self.generator.side_multiple)

    def fit_mode(self, mode: str | None) -> str:
        """How images become squares, by default as in training; raises UserError."""
        mode = mode or self.loaded.config.data.fit
        if mode not in FIT_MODES:
            raise UserError(f'fit={mode!r}: it is one of {", ".join(FIT_MODES)}')
        return mode

    def network_side(self, size: int | str) -> int | None:
        """The side of the generator's squares for a `size`, None for images as they are; raises UserError."""
        size = int(size) if isinstance(size, np.integer) else size
        side = {'train': self.image_size, 'original': None}.get(size, size)
        multiple = self.generator.side_multiple
        smallest = min_side(multiple)
        if side is not None and (not isinstance(side, int) or not smallest <= side <= LARGEST_SIDE or side % multiple):
            raise UserError(
                f"size={size}: it is 'train', 'original' or a multiple of {multiple} from {smallest} to {LARGEST_SIDE}"
            )
        if self.fixed_size and side != self.image_size:
            raise UserError(
                f"size={size}: {self.loaded.where} is a full model (model.mlp_pool='full'), whose weights are tied to "
                f"{self.image_size}x{self.image_size} pixels; size='train' takes images of any size through that one"
            )
        return side

    def run(self, x: np.ndarray) -> GeneratorOutput:
        """Runs the generator on images [n, h, w, C] of one size that it takes: uint8, or float32 in [-1, 1].

        Returns NumPy arrays; `image` is of the type of x, `cam_logit` None for images that go by tiles.
        """
        pixels, max_untiled = x.shape[1] * x.shape[2], (2 * self.tile) ** 2
        if self.tiled and pixels > max_untiled:
            images, heatmaps = zip(*map(self.tiled, x))
            return GeneratorOutput(np.stack(images), None, np.stack(heatmaps) if self.generator.use_cam else None)
        batch_size, outputs = self.batch_size, []
        if self.tiled:  # a batch takes no more memory than the largest untiled image
            batch_size = max(1, min(batch_size, max_untiled // pixels))
        for start in range(0, len(x), batch_size):
            batch = x[start : start + batch_size]
            # padded with copies to a power of two, so that few programs serve all numbers of images
            n = len(batch)
            padded_size = min(1 << (n - 1).bit_length(), batch_size)
            out = self.forward_announced(batch[np.arange(padded_size) % n])
            outputs.append(jax.tree.map(lambda leaf, n=n: leaf[:n], out))
        return jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(outputs))

    def forward_announced(self, batch: np.ndarray) -> GeneratorOutput:
        """The generator on a batch; the first one of a shape, for which a program is compiled, is announced."""
        if batch.shape in self.compiled_shapes:
            return self.forward(self.params, batch)
        self.compiled_shapes.add(batch.shape)
        what = f'compiling the generator for {len(batch)} x {batch.shape[2]}x{batch.shape[1]} pixels'
        with announced(what, self.generator, jax.devices()[0].device_kind):
            return jax.block_until_ready(self.forward(self.params, batch))
