"""Grids and heatmaps."""

import numpy as np

from ugatit_jax.report.drawing import HEADER, grid, jet, overlay, strip


def test_jet_runs_from_blue_to_red_and_a_flat_heatmap_is_blue():
    colours = jet(np.array([[0.0, 0.5, 1.0]]) * 7 - 3)
    assert colours.tolist() == [[[0, 0, 128], [128, 255, 128], [128, 0, 0]]]
    assert (jet(np.full((2, 2), 5.0)) == [0, 0, 128]).all()


def test_overlay_is_half_image_half_heatmap():
    heatmap = np.zeros((1, 2, 2))
    heatmap[0, 0, 0] = 1
    out = overlay(np.ones((1, 8, 8, 3)), heatmap)
    assert out[0, 0, 0].tolist() == [(255 + 128) // 2, 127, 127] and out[0, 7, 7].tolist() == [127, 127, (255 + 128) // 2]


def test_grid_has_a_column_for_each_name():
    sheet = grid({'a': np.zeros((3, 8, 8, 3), np.uint8), 'b': np.full((3, 8, 8, 3), 200, np.uint8)})
    assert sheet.size == (2 * 12 + 4, 3 * 12 + 16 + 4)
    assert sheet.getpixel((5, 17)) == (0, 0, 0) and sheet.getpixel((17, 29)) == (200, 200, 200)


def test_strip_names_each_part():
    parts = {'first': np.zeros((40, 50, 3), np.uint8), 'and back': np.full((40, 50, 3), 200, np.uint8)}
    sheet = strip(parts).reshape(2, HEADER + 40, 50, 3)
    np.testing.assert_array_equal(sheet[:, HEADER:], np.stack(list(parts.values())))
    first, second = sheet[:, :HEADER]
    assert first.min() < 100 and first.max() == 255 and (first != second).any()
