"""Crops, flips and jitter of training images."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.image_files import smooth
from ugatit_jax.common.images import normalize
from ugatit_jax.data.augment import augment


@pytest.fixture(scope='module')
def batch():
    return {
        domain: jnp.asarray(np.stack([smooth(18, 18, seed=i + 100 * d) for i in range(64)])) for d, domain in enumerate('AB')
    }


@functools.cache  # compiling is what takes the time
def compiled(**fields):
    return jax.jit(lambda batch, key: augment(batch, key, image_size=16, **fields))


def run(batch, key=0, **fields):
    return compiled(**fields)(batch, jax.random.key(key))


def places(pixels, real):
    """For each example the (top, left, flipped) whose window of the original it is."""
    found = []
    for original, got in zip(np.asarray(pixels), np.asarray(real), strict=True):
        matches = []
        for top in range(3):
            for left in range(3):
                window = np.asarray(normalize(jnp.asarray(original[top : top + 16, left : left + 16])))
                matches += [(top, left, flipped) for flipped in (0, 1) if (window[:, :: 1 - 2 * flipped] == got).all()]
        assert len(matches) == 1
        found.append(matches[0])
    return np.array(found)


def test_crops_and_flips_are_windows_with_fair_shares(batch):
    out = run(batch)
    assert out.keys() == {'A', 'B'}
    assert out['A'].shape == (64, 16, 16, 3)
    assert out['A'].dtype == jnp.float32
    a, b = (places(batch[domain], out[domain]) for domain in 'AB')
    for found in (a, b):
        assert 18 < found[:, 2].sum() < 46
        for axis in (0, 1):
            assert (np.bincount(found[:, axis], minlength=3) > 8).all()
    assert (a != b).any(axis=1).sum() > 40  # the domains draw apart
    other = places(batch['A'], run(batch, key=1)['A'])
    assert (a != other).any(axis=1).sum() > 40


def test_off_is_exact_and_spans_the_range():
    ramp = jnp.arange(256, dtype=jnp.uint8).reshape(1, 16, 16, 1)
    out = jax.jit(lambda x: augment({'A': x, 'B': x}, jax.random.key(0), image_size=16, flip=0.0))(ramp)['A'].ravel()
    assert out[0] == -1.0
    assert out[-1] == 1.0
    np.testing.assert_allclose(np.diff(out), 2 / 255, atol=1e-6)
    assert (run({'A': ramp, 'B': ramp}, flip=1.0)['A'][0] == normalize(ramp)[0, :, ::-1]).all()


def test_rows_do_not_depend_on_the_batch(batch):
    """So the batch may be split over any number of devices."""
    whole = run(batch)['A']
    np.testing.assert_array_equal(run({domain: batch[domain][:5] for domain in 'AB'})['A'], whole[:5])


def test_translate_shifts_and_mirrors(batch):
    square = {domain: batch[domain][:, :16, :16] for domain in 'AB'}
    out = np.asarray(run(square, flip=0.0, translate=0.25)['A'])
    original = np.asarray(normalize(square['A']))
    shifts = set()
    for got, source in zip(out, original, strict=True):
        padded = np.pad(source, ((4, 4), (4, 4), (0, 0)), mode='reflect')
        matches = [(y, x) for y in range(9) for x in range(9) if (padded[y : y + 16, x : x + 16] == got).all()]
        assert len(matches) == 1
        shifts.add(matches[0])
    assert len(shifts) > 30


def test_jitter_does_what_it_is_called(batch):
    plain = np.asarray(run(batch, flip=0.0)['A']) * 0.5 + 0.5  # the same crops

    def of(**fields):
        return np.asarray(run(batch, flip=0.0, **fields)['A']) * 0.5 + 0.5

    bright = of(brightness=0.3)
    factors = np.where((bright < 0.999) & (plain > 0.1), bright / np.maximum(plain, 0.1), np.nan)
    assert np.nanmax(np.nanstd(factors, axis=(1, 2, 3))) < 1e-3
    means = np.nanmean(factors, axis=(1, 2, 3))
    assert 0.7 <= means.min() < 0.8
    assert 1.2 < means.max() <= 1.3
    contrast = of(contrast=0.2)
    ratio = contrast.std(axis=(1, 2, 3)) / plain.std(axis=(1, 2, 3))
    assert 0.75 < ratio.min() < 0.9
    assert 1.05 < ratio.max() < 1.21
    assert np.abs(contrast.mean(axis=(1, 2, 3)) - plain.mean(axis=(1, 2, 3))).max() < 0.03  # but for clipping
    grey = np.array([0.299, 0.587, 0.114])
    saturation = of(saturation=0.2)
    assert np.abs(saturation @ grey - plain @ grey).max() < 0.06
    assert np.abs(saturation - plain).max() > 0.02
    wild = of(brightness=1.0, contrast=1.0, saturation=1.0)
    assert -1e-6 <= wild.min()
    assert wild.max() <= 1.0 + 1e-6


@pytest.mark.parametrize('channels', [1, 4, 5])
def test_other_channel_counts(channels):
    pixels = jnp.asarray(smooth(18, 18, channels=channels))[None]
    out = run({'A': pixels, 'B': pixels[..., :1]}, brightness=0.5, contrast=0.5, saturation=0.5, flip=0.0)
    assert out['A'].shape == (1, 16, 16, channels)
    assert out['B'].shape == (1, 16, 16, 1)
    if channels == 4:  # alpha is no colour
        plain = run({'A': pixels, 'B': pixels}, flip=0.0)['A']
        np.testing.assert_array_equal(out['A'][..., 3], plain[..., 3])
        assert (out['A'][..., 0] != plain[..., 0]).any()
