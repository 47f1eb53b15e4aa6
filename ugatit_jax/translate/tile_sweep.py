"""A sweep: a few layers over all tiles of a map, and the moments of their output over the whole map."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from ugatit_jax.common.compiler import forward_options
from ugatit_jax.common.images import denormalize, normalize
from ugatit_jax.models.cam import CAM
from ugatit_jax.models.ops.moment_norm import affine
from ugatit_jax.translate.tile_geometry import ConvGeometry, cover, layer_sizes, trace_back

Affine = tuple[np.ndarray, np.ndarray, np.ndarray]  # a norm as (mean, factor, offset), each broadcast to [1, 1, 1, C]


class Layer(NamedTuple):
    """One convolution: its module, which has no padding of its own (UpConv has), and its geometry."""

    module: nn.Module
    geometry: ConvGeometry = ConvGeometry()

    def apply(self, params: Any, x: jax.Array) -> jax.Array:
        """The convolution of a window [1, ., ., C] that has its border already."""
        y = self.module.apply({'params': params}, x)
        if isinstance(self.module, CAM):
            return y[0]
        # the window has one row more on each side, whose two output rows, made with UpConv's own padding, are dropped
        return y[:, 2:-2, 2:-2] if self.geometry.upsample else y


@functools.cache
def compiled_run_tile() -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """`run_tile`, compiled for each of its `layers` and `last`."""
    return jax.jit(run_tile, static_argnums=(0, 1), compiler_options=forward_options())


def run_tile(
    layers: tuple[Layer, ...],
    last: bool,
    params: list[Any],
    affines: list[Affine | None],
    x: jax.Array,
    places: list[tuple[np.ndarray, np.ndarray]],
    new: tuple[np.ndarray, np.ndarray],
    beside: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Layers on one window x [1, ., ., C] -> (y [h, w, C], mean [C] and sum of squared differences [C] of new pixels).

    affines: the norm of each layer's input, followed by ReLU; None for neither. places: for each layer the rows and columns
    of its window that its kernel covers (ConvGeometry.input_window). new: 1 for rows and columns of the output that are in
    no earlier tile. last: y is the image. beside [1, ., ., C']: more channels of the last layer's input, which have no norm.
    """
    x, beside = (normalize(window) if window is not None and window.dtype == jnp.uint8 else window for window in (x, beside))
    for i, (layer, weights, norm, (rows, columns)) in enumerate(zip(layers, params, affines, places)):
        if norm is not None:
            x = nn.relu(affine(x, *norm)).astype(x.dtype)
        if beside is not None and i == len(layers) - 1:
            x = jnp.concatenate([x, beside.astype(x.dtype)], axis=-1)
        x = layer.apply(weights, x[:, rows][:, :, columns])
    y = x[0].astype(jnp.promote_types(x.dtype, jnp.float32))
    if last:
        y = jnp.tanh(y)
    weight = new[0][:, None, None] * new[1][None, :, None]
    mean = jnp.sum(y * weight, axis=(0, 1)) / jnp.sum(weight)
    return y, mean, jnp.sum(jnp.square(y - mean) * weight, axis=(0, 1))


class Moments(NamedTuple):
    """Mean and biased variance over all n pixels of a map, [1, 1, 1, C]."""

    mean: np.ndarray
    variance: np.ndarray
    n: int


def merge_moments(counts: Sequence[float], means: Sequence[np.ndarray], squares: Sequence[np.ndarray]) -> Moments:
    """Moments of a map from those of its disjoint parts: pixels, mean [C], sum of squared differences from that mean [C].

    The pairwise formula of Chan, Golub and LeVeque (1979), which does not cancel; in float64, the parts are many.
    """
    counts, means = np.asarray(counts, np.float64)[:, None], np.asarray(means, np.float64)
    n = counts.sum()
    mean = (counts * means).sum(0) / n
    variance = (np.sum(squares, axis=0, dtype=np.float64) + (counts * (means - mean) ** 2).sum(0)) / n
    return Moments(*(np.float32(value)[None, None, None] for value in (mean, variance)), int(n))


def sweep(
    layers: Sequence[Layer],
    params: Sequence[Any],
    affines: Sequence[Affine | None],
    source: np.ndarray,
    tile: int,
    out: np.ndarray | None = None,
    last: bool = False,
    beside: np.ndarray | None = None,
    after_tile: Callable[[], object] = lambda: None,
) -> Moments:
    """Layers on source [h, w, C] tile by tile; the output goes to `out`, where given, and its moments are returned.

    beside: a map of the size of the last layer's input, which has its channels, too.
    """
    geometries = [layer.geometry for layer in layers]
    heights, widths = (layer_sizes(geometries, size) for size in source.shape[:2])
    counts, means, squares = [], [], []
    for row_tile in cover(heights[-1], tile):
        window_rows, rows = trace_back(geometries, heights, row_tile)
        for column_tile in cover(widths[-1], tile):
            window_columns, columns = trace_back(geometries, widths, column_tile)
            more = None
            if beside is not None:  # the window of the last layer, whose places `rows` and `columns` end with
                beside_rows, _ = trace_back(geometries[-1:], heights[-2:], row_tile)
                beside_columns, _ = trace_back(geometries[-1:], widths[-2:], column_tile)
                more = beside[beside_rows, beside_columns][None]
            y, mean, square = compiled_run_tile()(
                tuple(layers),
                last,
                list(params),
                list(affines),
                source[window_rows, window_columns][None],
                list(zip(rows, columns)),
                (row_tile.new, column_tile.new),
                more,
            )
            if out is not None:
                y = np.asarray(y)
                out[row_tile.slice, column_tile.slice] = denormalize(y) if out.dtype == np.uint8 else y
            counts.append(row_tile.new.sum() * column_tile.new.sum())
            means.append(mean)
            squares.append(square)
            after_tile()
    return merge_moments(counts, means, squares)
