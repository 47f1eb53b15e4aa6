"""A sweep over tiles, and moments of a map from those of its tiles."""

import jax
import numpy as np
import pytest

from ugatit_jax.translate import tile_sweep
from ugatit_jax.translate.tile_sweep import merge_moments


def test_moments_of_parts_are_those_of_the_whole():
    """Also where the mean is large: a difference of sums of squares would cancel."""
    x = np.random.default_rng(0).normal(1e6, 0.1, (60, 3))
    parts = np.split(x, [7, 8, 40])
    means = [part.mean(0) for part in parts]
    squares = [((part - mean) ** 2).sum(0) for part, mean in zip(parts, means)]
    moments = merge_moments([len(part) for part in parts], means, squares)
    assert moments.n == 60 and moments.mean.shape == moments.variance.shape == (1, 1, 1, 3)
    np.testing.assert_allclose(np.ravel(moments.mean), x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(np.ravel(moments.variance), x.var(0), rtol=1e-6)


def test_tiles_are_compiled_as_whole_images_are(monkeypatch):
    monkeypatch.setattr(tile_sweep, 'forward_options', lambda: {'no_such_option': 'x'})
    tile_sweep.compiled_run_tile.cache_clear()
    compiled = tile_sweep.compiled_run_tile()
    tile_sweep.compiled_run_tile.cache_clear()
    with pytest.raises(jax.errors.JaxRuntimeError, match='no_such_option'):
        compiled((), True, [], [], np.zeros((1, 4, 4, 3), np.uint8), [], (np.ones(4), np.ones(4)))
