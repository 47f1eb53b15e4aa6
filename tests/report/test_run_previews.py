"""The previews on the page: which, and how large."""

import numpy as np
import pytest
from PIL import Image

from ugatit_jax.report.run_previews import as_jpeg, select_evenly


@pytest.mark.parametrize('count', [0, 1, 39, 40, 41, 79, 80, 1001])
def test_previews_are_evenly_spaced_over_the_run(count):
    chosen = select_evenly(list(range(count)))
    assert len(chosen) == min(count, len(chosen)) <= 40 and chosen == sorted(set(chosen))
    assert len(chosen) > 19 or len(chosen) == count
    if count:
        assert chosen[0] == 0 and chosen[-1] == count - 1
        assert max(np.diff(chosen), default=0) <= 2 * count / 40 + 1


def test_large_previews_are_reduced(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    path = tmp_path / 'big.png'
    Image.fromarray(noise).resize((1564, 2112)).save(path)
    uri, width = as_jpeg(str(path), 0)
    assert width == round(1564 * 1280 / 2112) and uri.startswith('data:image/jpeg') and len(uri) < 500_000
