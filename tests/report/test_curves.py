"""Downsampling and smoothing of long runs."""

import numpy as np

from ugatit_jax.report.curves import MAX_POINTS, downsample, moving_average


def test_downsampling_keeps_extremes_means_and_the_last_step():
    steps, values = np.arange(1.0, 10_001), np.random.default_rng(0).normal(size=10_000)
    values[5000] = 99
    curve = downsample(steps, values)
    assert len(curve.steps) == MAX_POINTS and curve.steps[-1] == 10_000 and (np.diff(curve.steps) > 0).all()
    assert curve.high.max() == 99 and curve.low.min() == values.min()
    assert (curve.low <= curve.mean).all() and (curve.mean <= curve.high).all()
    few = downsample(steps[:7], values[:7])
    assert (few.mean == values[:7]).all() and (few.low == few.high).all() and (few.steps == steps[:7]).all()
    np.testing.assert_allclose(moving_average(np.full(50, 3.0)), 3)
    assert moving_average(values).std() < 0.4 * values.std()
