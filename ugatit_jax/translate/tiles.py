"""Large images by tiles, with the numbers of the whole: no seams, and the memory of a tile on the device.

Every norm of the generator, and gamma and beta, depend on statistics over the whole image. Tiles that took their own
would each come out in another contrast and other colours, which blending hides and does not mend. Here each layer goes
over all tiles before the next one starts. A sweep applies one convolution, to the tile and as much of its surroundings
as the kernel sees, and adds up the moments of its output: mean and variance of the whole image, which the next sweep
normalises with. So neighbours agree, tiles that overlap hold the same numbers there and there is nothing to blend: the
result is that of the untiled generator up to rounding (tests/translate/test_tiles.py;
`benchmarks/translate.py --seams` measures).

Between sweeps the host keeps maps of a quarter of the image's sides: three of them, 4 * ch bytes a pixel of the
image each. Larger ones are not kept but computed again, from the image or from the last small map: 19 % more
operations than untiled at the paper's sizes.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ugatit_jax.images import denormalize, normalize
from ugatit_jax.models import Generator
from ugatit_jax.models.adalin import adalin_affine, affine, instance_affine
from ugatit_jax.models.cam import CAM
from ugatit_jax.models.generator import Dense, pool_to
from ugatit_jax.models.ops.convolution import Conv, UpConv

Pair = tuple[np.ndarray, np.ndarray]  # gamma, beta [1, 1, 1, C]
Affine = tuple[np.ndarray, np.ndarray, np.ndarray]  # (mean, factor, offset), each broadcast to [1, 1, 1, C]
KNOWN_FIELDS = {  # of Generator: what this file computes. Another field must have its default
    'out_channels',
    'ch',
    'n_res',
    'mlp_pool',
    'mlp_width',
    'instance_norm_affine',
    'use_bias',
    'cam_shared',
    'cam_bias',
    'rho_init',
    'rho_smoothing',
    'variance_ddof',
    'down_padding',
    'weight_init',
    'dtype',
    'unroll',
    'parent',
    'name',
}


class Layer(NamedTuple):
    """One convolution with what its input goes through before."""

    module: nn.Module  # without padding of its own, but for UpConv
    kernel_size: int = 1
    stride: int = 1
    padding: int = 0  # reflected, before the first row and column; behind the last as far as the output needs
    up: bool = False  # UpConv, which doubles the sides

    def source(self, start: int, length: int, size: int) -> tuple[int, int, np.ndarray]:
        """What rows (or columns) start .. start + length of the output need of an input of `size` rows.

        Returns start and length of a window of the input, and where each row that the kernel meets lies in the window:
        rows outside the image are reflected (UpConv: repeated) ones inside.
        """
        if self.up:
            first, needed = start // 2 - 1, length // 2 + 2
        else:
            first, needed = start * self.stride - self.padding, (length - 1) * self.stride + self.kernel_size
        rows = np.arange(first, first + needed)
        if self.up:
            rows = rows.clip(0, size - 1)
        else:
            rows = (size - 1) - abs((size - 1) - abs(rows))
        window = min(size, -(-(needed + 1) // 2) * 2)  # even, from an even row on: UpConv makes rows in pairs
        begin = min(max(first & ~1, 0), size - window)
        return begin, window, rows - begin

    def output_size(self, size: int) -> int:
        """Rows of the output for `size` rows: kept, doubled or halved."""
        return size * 2 if self.up else size // self.stride

    def apply(self, params: Any, x: jax.Array) -> jax.Array:
        """The convolution of a window whose rows were put in place already."""
        y = self.module.apply({'params': params}, x)
        if isinstance(self.module, CAM):
            return y[0]
        return y[:, 2:-2, 2:-2] if self.up else y  # UpConv repeated the window's edges, where the image goes on


@functools.partial(jax.jit, static_argnums=(0, 1))
def run_tile(
    layers: tuple[Layer, ...],
    last: bool,
    params: list[Any],
    affines: list[Affine | None],
    x: jax.Array,
    places: list[tuple[np.ndarray, np.ndarray]],
    new: tuple[np.ndarray, np.ndarray],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Layers on one window x [1, ., ., C] -> (y [h, w, C], mean [C] and sum of squared differences [C] of new pixels).

    affines: what a norm does to each layer's input, followed by ReLU; None for nothing. places: rows and columns as
    `Layer.source` gives them. new: 1 for rows, columns of the output that no tile before had. last: y is the image.
    """
    if x.dtype == jnp.uint8:
        x = normalize(x)
    for layer, weights, norm, (rows, columns) in zip(layers, params, affines, places):
        if norm is not None:
            x = nn.relu(affine(x, *norm)).astype(x.dtype)
        x = layer.apply(weights, x[:, rows][:, :, columns])
    y = x[0].astype(jnp.promote_types(x.dtype, jnp.float32))
    if last:
        y = jnp.tanh(y)
    weight = new[0][:, None, None] * new[1][None, :, None]
    mean = jnp.sum(y * weight, axis=(0, 1)) / jnp.sum(weight)
    return y, mean, jnp.sum(jnp.square(y - mean) * weight, axis=(0, 1))


class Moments(NamedTuple):
    """Mean and biased variance over all n pixels, [1, 1, 1, C]."""

    mean: np.ndarray
    variance: np.ndarray
    n: int


def sweep(
    layers: Sequence[Layer],
    params: Sequence[Any],
    affines: Sequence[Affine | None],
    source: np.ndarray,
    tile: int,
    out: np.ndarray | None = None,
    last: bool = False,
) -> Moments:
    """Layers on source [h, w, C] tile by tile; the output goes to `out`, where given, and its moments are returned."""
    sizes = [source.shape[:2]]
    for layer in layers:
        sizes.append(tuple(map(layer.output_size, sizes[-1])))
    counts, means, squares = [], [], []
    for row_tile in cover(sizes[-1][0], tile):
        for column_tile in cover(sizes[-1][1], tile):
            windows, places = [], []
            for axis, (start, length, _) in enumerate((row_tile, column_tile)):
                indices = []
                for layer, size in zip(reversed(layers), reversed(sizes[:-1])):
                    start, length, index = layer.source(start, length, size[axis])
                    indices.insert(0, index)
                windows.append(slice(start, start + length))
                places.append(indices)
            y, mean, square = run_tile(
                tuple(layers),
                last,
                list(params),
                list(affines),
                source[tuple(windows)][None],
                list(zip(*places)),
                (row_tile.new, column_tile.new),
            )
            if out is not None:
                y, (rows, columns) = np.asarray(y), [slice(t.start, t.start + t.length) for t in (row_tile, column_tile)]
                out[rows, columns] = denormalize(y) if out.dtype == np.uint8 else y
            counts.append(row_tile.new.sum() * column_tile.new.sum())
            means.append(mean)
            squares.append(square)
    counts, means = np.asarray(counts, np.float64)[:, None], np.asarray(means, np.float64)
    n = counts.sum()
    mean = (counts * means).sum(0) / n
    variance = (np.sum(squares, axis=0, dtype=np.float64) + (counts * (means - mean) ** 2).sum(0)) / n
    return Moments(*(np.float32(value)[None, None, None] for value in (mean, variance)), int(n))


class Tile(NamedTuple):
    """Some rows, or columns, of an output."""

    start: int
    length: int
    new: np.ndarray  # float32 [length]: 1 where no tile before has been


def cover(size: int, tile: int) -> list[Tile]:
    """Tiles of equal length over `size` rows: the last begins early enough to be as long as the others."""
    length = min(tile, size)
    starts = [min(start, size - length) for start in range(0, size, length)]
    ends = [0] + [start + length for start in starts]
    return [Tile(start, length, np.float32(np.arange(start, start + length) >= end)) for start, end in zip(starts, ends)]


AffineOf = Callable[[Moments, Any], Affine]  # what a norm with these parameters does to a map with these moments


class TiledGenerator:
    """A generator for images that do not fit the device: image [h, w, C] -> (image, heatmap), see the module."""

    def __init__(self, generator: Generator, params: dict[str, Any], tile: int):
        """tile: side at full resolution, a multiple of 8; half as much where the map is a quarter of the image."""
        if reason := unsupported(generator):
            raise ValueError(reason)
        self.generator, self.params, self.tile = generator, params, tile
        g = generator
        fields_of_conv = dict(use_bias=g.use_bias, weight_init=g.weight_init, dtype=g.dtype)
        before = g.down_padding[0]
        self.down = [
            Layer(Conv(g.ch, 7, **fields_of_conv), 7, padding=3),
            Layer(Conv(2 * g.ch, 3, 2, **fields_of_conv), 3, 2, before),
            Layer(Conv(4 * g.ch, 3, 2, **fields_of_conv), 3, 2, before),
        ]
        self.middle = Layer(Conv(4 * g.ch, 3, **fields_of_conv), 3, padding=1)
        self.attention = Layer(CAM(nn.relu, g.cam_shared, g.cam_bias, g.weight_init, g.dtype))
        self.up = [
            Layer(UpConv(2 * g.ch, **fields_of_conv), up=True),
            Layer(UpConv(g.ch, **fields_of_conv), up=True),
            Layer(Conv(g.out_channels, 7, **fields_of_conv), 7, padding=3),
        ]

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8, or float32 in [-1, 1], [h, w, C] -> image of the same type [h, w, C'], heatmap float32 [h/4, w/4]."""
        (h, w), p, g = image.shape[:2], self.params, self.generator
        tile = self.tile // 2
        x = np.empty((h // 4, w // 4, 4 * g.ch), np.float32)
        y = np.empty_like(x)

        names, norms = ('stem', 'down_0', 'down_1'), ('stem_norm', 'down_norm_0', 'down_norm_1')
        affines: list[Affine | None] = [None]
        for i, norm in enumerate(norms):
            moments = sweep(
                self.down[: i + 1],
                [p[name] for name in names[: i + 1]],
                affines,
                image,
                self.tile // 2**i,
                x if i == 2 else None,
            )
            affines.append(self.instance_affine(moments, p.get(norm)))
        np.maximum(normalised(x, affines[-1]), 0, out=x)

        for i in range(g.n_res):
            block = jax.tree.map(lambda leaf, i=i: leaf[i], p['encoder'])
            self.residual_block(x, y, block, self.instance_affine)
        sweep([self.attention], [p['cam']], [None], x, tile, y)
        x, y = y, x
        heatmap = x.sum(axis=-1)
        gamma, beta = self.gamma_beta(x)
        for i in range(g.n_res):
            block = jax.tree.map(lambda leaf, i=i: leaf[i], p['decoder'])
            self.residual_block(
                x, y, block, lambda moments, norm: self.adalin_affine(moments, norm['rho'], gamma, beta, g.rho_smoothing)
            )
        del y

        result = np.empty((h, w, g.out_channels), image.dtype)
        affines = [None]
        for i in range(2):
            norm, weights = p[f'up_norm_{i}'], [p[name] for name in ('up_0', 'up_1')[: i + 1]]
            moments = sweep(self.up[: i + 1], weights, affines, x, self.tile // 2 ** (1 - i))
            affines.append(self.adalin_affine(moments, norm['rho'], norm['gamma'], norm['beta']))
        sweep(self.up, [p['up_0'], p['up_1'], p['head']], affines, x, self.tile, result, last=True)
        return result, heatmap

    def residual_block(self, x: np.ndarray, y: np.ndarray, params: Any, affine_of: AffineOf) -> None:
        """One block on the map x [h, w, C], in place; y is room for a map."""
        tile, inner = self.tile // 2, np.empty_like(x)
        moments = sweep([self.middle], [params['conv_0']], [None], x, tile, y)
        moments = sweep([self.middle], [params['conv_1']], [affine_of(moments, params.get('norm_0'))], y, tile, inner)
        x += normalised(inner, affine_of(moments, params.get('norm_1')))

    def instance_affine(self, moments: Moments, norm: Any) -> Affine:
        """What an instance norm with these parameters does to a map with these moments."""
        parameters = (norm['scale'], norm['bias']) if norm else ()
        return moments.mean, *instance_affine(moments.mean, moments.variance, *parameters)

    def adalin_affine(self, moments: Moments, rho: Any, gamma: Any, beta: Any, smoothing: float = 0.0) -> Affine:
        """What AdaLIN, or LIN, does to a map with these moments."""
        return moments.mean, *adalin_affine(
            moments.mean,
            moments.variance,
            rho,
            gamma,
            beta,
            n=moments.n,
            smoothing=smoothing,
            ddof=self.generator.variance_ddof,
        )

    def gamma_beta(self, x: np.ndarray) -> Pair:
        """The MLP on the attended map x [h, w, C], as Generator.gamma_beta: two [1, 1, 1, C]."""
        g, p = self.generator, self.params
        dense = dict(use_bias=g.use_bias, weight_init=g.weight_init, dtype=g.dtype)
        pooled = x.mean(axis=(0, 1), dtype=np.float64) if g.mlp_pool == 1 else pool_to(x[None], g.mlp_pool)
        hidden = jnp.asarray(pooled, jnp.float32).reshape(1, -1)
        for name in ('mlp_0', 'mlp_1'):
            hidden = nn.relu(Dense(g.mlp_width, **dense).apply({'params': p[name]}, hidden))
        gamma, beta = (
            Dense(x.shape[-1], **dense).apply({'params': p[name]}, hidden)[:, None, None] for name in ('gamma', 'beta')
        )
        return gamma.astype(jnp.float32), beta.astype(jnp.float32)


def normalised(x: np.ndarray, norm: Affine) -> np.ndarray:
    """(x - mean) * factor + offset of x [h, w, C], in place."""
    mean, factor, offset = (np.ravel(value) for value in norm)
    x -= mean
    x *= factor
    x += offset
    return x


def unsupported(generator: Generator) -> str:
    """Why a generator cannot go by tiles; '' where it can."""
    if generator.mlp_pool == 0:
        return 'a full model takes images of one size'
    other = [
        f.name
        for f in fields(generator)
        if f.name not in KNOWN_FIELDS and f.default is not MISSING and getattr(generator, f.name) != f.default
    ]
    return f'tiles know nothing of {", ".join(other)} in a generator' if other else ''
