"""Tile geometry: how tiles cover a map, and which part of a convolution's input each of them needs.

Rows and columns are independent of each other, so everything here is in one dimension; "rows" are either.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class ConvGeometry(NamedTuple):
    """How the rows of a convolution's output depend on those of its input."""

    kernel_size: int = 1
    stride: int = 1
    padding: int = 0  # reflected rows before the first one; after the last as many as the output needs
    upsample: bool = False  # UpConv: doubles the rows, then a kernel of 3

    def output_size(self, size: int) -> int:
        """Rows of the output for `size` rows of the input: kept, doubled or halved."""
        return size * 2 if self.upsample else size // self.stride

    def input_window(self, start: int, length: int, size: int) -> tuple[int, int, np.ndarray]:
        """What rows start .. start + length of the output need of an input of `size` rows.

        Returns start and length of a window of the input and, for each row that the kernel covers, its place in the
        window: rows outside the image are reflected (UpConv: repeated) ones inside. Windows begin at an even row and have
        an even length, because UpConv makes rows in pairs.
        """
        if self.upsample:
            first, needed = start // 2 - 1, length // 2 + 2
        else:
            first, needed = start * self.stride - self.padding, (length - 1) * self.stride + self.kernel_size
        rows = np.arange(first, first + needed)
        if self.upsample:
            rows = rows.clip(0, size - 1)
        else:
            rows = (size - 1) - abs((size - 1) - abs(rows))
        window = min(size, -(-(needed + 1) // 2) * 2)
        begin = min(max(first & ~1, 0), size - window)
        return begin, window, rows - begin


class Tile(NamedTuple):
    """A range of rows of a map."""

    start: int
    length: int
    new: np.ndarray  # float32 [length]: 1 for rows of no earlier tile, 0 for those that overlap one

    @property
    def slice(self) -> slice:
        """Its rows, as an index."""
        return slice(self.start, self.start + self.length)


def cover(size: int, tile: int) -> list[Tile]:
    """Tiles of one length over `size` rows, so that one program serves all: the last one overlaps the one before."""
    length = min(tile, size)
    starts = [min(start, size - length) for start in range(0, size, length)]
    ends = [0] + [start + length for start in starts]
    return [Tile(start, length, np.float32(np.arange(start, start + length) >= end)) for start, end in zip(starts, ends)]


def layer_sizes(layers: Sequence[ConvGeometry], size: int) -> list[int]:
    """Rows of the input, `size`, and of each layer's output."""
    sizes = [size]
    for layer in layers:
        sizes.append(layer.output_size(sizes[-1]))
    return sizes


def trace_back(layers: Sequence[ConvGeometry], sizes: Sequence[int], tile: Tile) -> tuple[slice, list[np.ndarray]]:
    """The window of the first layer's input that a tile of the last one's output needs, and every layer's places in its own.

    sizes: as layer_sizes gives them.
    """
    start, length, places = tile.start, tile.length, []
    for layer, size in zip(reversed(layers), reversed(sizes[:-1])):
        start, length, rows = layer.input_window(start, length, size)
        places.insert(0, rows)
    return slice(start, start + length), places
