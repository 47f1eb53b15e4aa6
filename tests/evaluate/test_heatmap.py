"""Where the heatmap points."""

import numpy as np
import pytest

from ugatit_jax.data.sources.synthetic import Synthetic
from ugatit_jax.evaluate.heatmap import heatmap_metrics


def test_heatmaps_on_the_changed_part_beside_it_and_flat():
    mask = np.zeros((32, 32), bool)
    mask[:16, :16] = True
    inside, outside = np.zeros((8, 8)), np.zeros((8, 8))
    inside[:4, :4], outside[4:, 4:] = 5, 5
    found = heatmap_metrics(np.stack([inside - 3, outside, np.ones((8, 8))]), np.stack([mask] * 3))
    assert found['pointing_accuracy'].tolist() == [1, 0, 0.25] and (found['heatmap_chance'] == 0.25).all()
    assert found['heatmap_inside'][0] > 0.8 and found['heatmap_inside'][1] < 0.01 and found['heatmap_inside'][2] == 0.25
    assert found['heatmap_iou'] == pytest.approx([1, 0, 1 / 7], abs=0.05)
    # the true mask as a heatmap: as good as it gets at a quarter of the side
    source = Synthetic('A', 'test', 64)
    masks = np.stack([source.mask(i) for i in range(4)])
    found = heatmap_metrics(masks.reshape(4, 16, 4, 16, 4).mean((2, 4)), masks)
    assert (found['pointing_accuracy'] == 1).all() and found['heatmap_iou'].min() > 0.8
