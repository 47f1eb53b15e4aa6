"""Tiles cover every row once, and their windows hold what the whole image would give."""

import numpy as np
import pytest

from ugatit_jax.translate.tile_geometry import ConvGeometry, cover


@pytest.mark.parametrize('size, tile', [(10, 4), (12, 4), (3, 8), (9, 8)])
def test_every_row_is_new_once(size, tile):
    counts = np.zeros(size)
    for start, length, new in cover(size, tile):
        assert length == min(tile, size)
        counts[start : start + length] += new
    assert (counts == 1).all()


@pytest.mark.parametrize('layer', [ConvGeometry(7, padding=3), ConvGeometry(3, 2, 1), ConvGeometry(3, padding=1)])
@pytest.mark.parametrize('size', [20, 22])
def test_windows_hold_what_a_reflected_image_would(layer, size):
    rows = np.arange(size)
    padded = np.pad(rows, layer.kernel_size, 'reflect')
    length = 4
    for start in range(0, layer.output_size(size) - length + 1):
        begin, window, index = layer.input_window(start, length, size)
        assert begin >= 0 and begin + window <= size and begin % 2 == 0
        first = start * layer.stride - layer.padding + layer.kernel_size
        np.testing.assert_array_equal(rows[begin : begin + window][index], padded[first : first + len(index)])
