"""The generator on images too large for the device: tile by tile, with the result of the whole image and no seams.

Every norm of the generator, and gamma and beta, depend on statistics over the whole image. Tiles normalised with their own
statistics would differ in contrast and colour; blending their borders hides that and does not remove it. So one layer is
computed for all tiles before the next one starts. A sweep applies a convolution to each tile, read with the surroundings
that its kernel covers, and accumulates the moments of its output: mean and variance of the whole image, with which the next
sweep normalises its input. Tiles that overlap hold the same values there, nothing is blended, and the result equals that of
the untiled generator up to rounding (tests/translate/test_tiled_generator.py; benchmarks/translate.py --seams measures it).

The device holds one tile at a time. Between sweeps the host keeps three maps of a quarter of the image's sides, float32 with
4 * ch channels: ch bytes per pixel of the image each (with n_down=3, an eighth and 8 * ch channels, half of that; with
pixel_unshuffle=2 a quarter). Larger maps are not kept but recomputed, on the way down from the image and on the way up from
the last small map: 19 % more operations than untiled at the paper's sizes.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ugatit_jax.common.progress import Progress, announced
from ugatit_jax.models.adalin import adalin_affine, instance_affine
from ugatit_jax.models.cam import CAM
from ugatit_jax.models.generator import Dense, Generator, pool_to
from ugatit_jax.models.ops.convolution import Conv, UpConv
from ugatit_jax.models.ops.depthwise import SeparableConv, SeparableUpConv
from ugatit_jax.models.ops.pixel_shuffle import pixel_shuffle, pixel_unshuffle
from ugatit_jax.translate.tile_geometry import ConvGeometry, cover
from ugatit_jax.translate.tile_sweep import Affine, Layer, Moments, sweep

SUPPORTED_FIELDS = {  # of Generator: any value works by tiles. Other fields must have their defaults
    'out_channels',
    'ch',
    'n_res',
    'mlp_pool',
    'mlp_width',
    'instance_norm_affine',
    'stem_norm',
    'use_bias',
    'cam_shared',
    'cam_bias',
    'rho_init',
    'rho_smoothing',
    'variance_ddof',
    'down_padding',
    'weight_init',
    'dtype',
    'separable',
    'n_down',
    'stem_kernel',
    'pixel_unshuffle',
    'image_skip',
    'use_cam',
    'unroll',
    'parent',
    'name',
}

AffineOf = Callable[[Moments, Any], Affine]  # (moments of a map, a norm's parameters) -> that norm of the map


class TiledGenerator:
    """A generator for images that do not fit the device: image [h, w, C] -> (image, heatmap)."""

    def __init__(self, generator: Generator, params: dict[str, Any], tile: int):
        """tile: side at full resolution, a multiple of 8; half of it for the maps between the residual blocks.

        Raises ValueError for a generator that is unsupported.
        """
        if reason := unsupported_reason(generator):
            raise ValueError(reason)
        self.generator, self.params, g = generator, params, generator
        self.tile = max(8, tile // g.pixel_unshuffle // 8 * 8)  # of the layers' largest maps
        conv_fields = dict(use_bias=g.use_bias, weight_init=g.weight_init, dtype=g.dtype)
        halving = ConvGeometry(kernel_size=3, stride=2, padding=g.down_padding[0])
        same = ConvGeometry(kernel_size=g.stem_kernel, padding=g.stem_kernel // 2)
        doubling = ConvGeometry(upsample=True)
        conv, up_conv = (SeparableConv, SeparableUpConv) if g.separable else (Conv, UpConv)
        channels = [g.ch * 2**i for i in range(g.n_down + 1)]  # of the stem's output and after each halving
        self.down = [Layer(Conv(g.ch, g.stem_kernel, **conv_fields), same)]
        self.down += [Layer(conv(features, 3, 2, **conv_fields), halving) for features in channels[1:]]
        self.residual = Layer(conv(channels[-1], 3, **conv_fields), ConvGeometry(kernel_size=3, padding=1))
        self.attention = Layer(CAM(nn.relu, g.cam_shared, g.cam_bias, g.weight_init, g.dtype))
        self.up = [Layer(up_conv(features, **conv_fields), doubling) for features in channels[-2::-1]]
        self.up += [Layer(Conv(g.out_channels * g.pixel_unshuffle**2, g.stem_kernel, **conv_fields), same)]

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """uint8, or float32 in [-1, 1], [h, w, C] -> image of the same type [h, w, C'], heatmap float32 [h/4, w/4].

        h and w: multiples of the generator's `side_multiple`; the heatmap is that much smaller. Without CAM it is None.
        """
        what = f'an image of {image.shape[1]}x{image.shape[0]} by tiles'
        image = pixel_unshuffle(image[None], self.generator.pixel_unshuffle)[0]
        h, w = image.shape[:2]
        with announced(what, self.generator, self.tile), Progress(what, self.count_tiles(h, w), 'tiles') as self.progress:
            fake, heatmap = self.translate(image)
        return pixel_shuffle(fake[None], self.generator.pixel_unshuffle)[0], heatmap

    def count_tiles(self, h: int, w: int) -> int:
        """Tiles of all sweeps over what the layers see of an image, [h, w]."""

        def count(scale: int, tile: int) -> int:
            return len(cover(h // scale, tile)) * len(cover(w // scale, tile))

        n_down = self.generator.n_down
        scales = [2**i for i in range(n_down + 1)]
        down = sum(count(scale, self.tile // scale) for scale in scales)
        small = (4 * self.generator.n_res + self.generator.use_cam) * count(scales[-1], self.tile // 2)
        up = sum(count(scale, self.tile // scale) for scale in scales[:-1])
        return down + small + up + count(1, self.tile)

    def sweep(self, *arguments: Any, **options: Any) -> Moments:
        """tile_sweep.sweep, whose tiles are counted."""
        return sweep(*arguments, **options, after_tile=self.progress.update)

    def translate(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """The output, as the layers give it, and the heatmap for an image as they see it."""
        p, smoothing = self.params, self.generator.rho_smoothing
        x = self.downsample(image)
        y = np.empty_like(x)
        for block in self.blocks('encoder'):
            self.residual_block(x, y, block, self.instance_affine)
        heatmap = None
        if self.generator.use_cam:
            self.sweep([self.attention], [p['cam']], [None], x, self.tile // 2, y)
            x, y = y, x
            heatmap = x.sum(axis=-1)
        gamma, beta = self.gamma_beta(x)
        for block in self.blocks('decoder'):
            self.residual_block(
                x, y, block, lambda moments, norm: self.adalin_affine(moments, norm['rho'], gamma, beta, smoothing)
            )
        del y
        return self.upsample(x, image), heatmap

    def downsample(self, image: np.ndarray) -> np.ndarray:
        """Stem and down-sampling: image [h, w, C] -> the small map after the last norm and ReLU."""
        g, (h, w), p = self.generator, image.shape[:2], self.params
        scale = 2**g.n_down
        x = np.empty((h // scale, w // scale, scale * g.ch), np.float32)
        weights = [p[name] for name in ('stem', *(f'down_{i}' for i in range(g.n_down)))]
        affines: list[Affine | None] = [None]
        for i, norm in enumerate(('stem_norm', *(f'down_norm_{i}' for i in range(g.n_down)))):
            out = x if i == g.n_down else None
            moments = self.sweep(self.down[: i + 1], weights[: i + 1], affines, image, self.tile // 2**i, out)
            if norm == 'stem_norm' and not g.stem_norm:  # ReLU alone
                affines.append((np.zeros_like(moments.mean), np.ones_like(moments.mean), np.zeros_like(moments.mean)))
            else:
                affines.append(self.instance_affine(moments, p.get(norm)))
        return np.maximum(normalize_in_place(x, affines[-1]), 0, out=x)

    def upsample(self, x: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Up-sampling and head: the small map, and the image [h, w, C] -> the output [h, w, C'] of the image's type."""
        n_down, p = self.generator.n_down, self.params
        weights = [p[name] for name in (*(f'up_{i}' for i in range(n_down)), 'head')]
        affines: list[Affine | None] = [None]
        for i in range(n_down):
            norm = p[f'up_norm_{i}']
            moments = self.sweep(self.up[: i + 1], weights[: i + 1], affines, x, self.tile // 2 ** (n_down - 1 - i))
            affines.append(self.adalin_affine(moments, norm['rho'], norm['gamma'], norm['beta']))
        fake = np.empty((*image.shape[:2], self.up[-1].module.features), image.dtype)
        beside = image if self.generator.image_skip else None
        self.sweep(self.up, weights, affines, x, self.tile, fake, last=True, beside=beside)
        return fake

    def blocks(self, name: str) -> Iterator[Any]:
        """Parameters of each of the residual blocks, which are stacked, [n_res, ...]."""
        return (jax.tree.map(lambda leaf, i=i: leaf[i], self.params[name]) for i in range(self.generator.n_res))

    def residual_block(self, x: np.ndarray, y: np.ndarray, params: Any, affine_of: AffineOf) -> None:
        """One block on the map x [h, w, C], in place; y is a buffer of the same shape."""
        tile, inner = self.tile // 2, np.empty_like(x)
        moments = self.sweep([self.residual], [params['conv_0']], [None], x, tile, y)
        moments = self.sweep([self.residual], [params['conv_1']], [affine_of(moments, params.get('norm_0'))], y, tile, inner)
        x += normalize_in_place(inner, affine_of(moments, params.get('norm_1')))

    def instance_affine(self, moments: Moments, norm: Any) -> Affine:
        """Instance norm with these parameters (None: without) of a map with these moments."""
        parameters = (norm['scale'], norm['bias']) if norm else ()
        return moments.mean, *instance_affine(moments.mean, moments.variance, *parameters)

    def adalin_affine(self, moments: Moments, rho: Any, gamma: Any, beta: Any, smoothing: float = 0.0) -> Affine:
        """AdaLIN, or LIN, of a map with these moments."""
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

    def gamma_beta(self, x: np.ndarray) -> tuple[jax.Array, jax.Array]:
        """The MLP on the attended map x [h, w, C], as Generator.gamma_beta: gamma, beta [1, 1, 1, C]."""
        g, p = self.generator, self.params
        dense = dict(use_bias=g.use_bias, weight_init=g.weight_init)
        pooled = x.mean(axis=(0, 1), dtype=np.float64) if g.mlp_pool == 1 else pool_to(x[None], g.mlp_pool)
        hidden = jnp.asarray(pooled, jnp.float32).reshape(1, -1)
        for name in ('mlp_0', 'mlp_1'):
            hidden = nn.relu(Dense(g.mlp_width, **dense).apply({'params': p[name]}, hidden))
        return tuple(
            Dense(x.shape[-1], **dense).apply({'params': p[name]}, hidden)[:, None, None] for name in ('gamma', 'beta')
        )


def normalize_in_place(x: np.ndarray, norm: Affine) -> np.ndarray:
    """(x - mean) * factor + offset of x [h, w, C], in place."""
    mean, factor, offset = (np.ravel(value) for value in norm)
    x -= mean
    x *= factor
    x += offset
    return x


def unsupported_reason(generator: Generator) -> str:
    """Why a generator does not work by tiles; '' where it does."""
    if generator.mlp_pool == 0:
        return 'a full model takes images of one size'
    other = [
        f.name
        for f in fields(generator)
        if f.name not in SUPPORTED_FIELDS and f.default is not MISSING and getattr(generator, f.name) != f.default
    ]
    return f'not supported by tiles: a generator with another {", ".join(other)} than the default' if other else ''
