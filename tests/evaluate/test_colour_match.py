"""The colour match: what it fits, and what it does."""

import numpy as np

from tests.helpers.array_source import noise
from ugatit_jax.evaluate.colour_match import ColourStatistics, colour_statistics, match_colours

FACTOR, OFFSET = np.array([0.5, 1.25, 1]), np.array([40, -20, 0])


def test_statistics_are_of_all_pixels_of_all_images():
    images = [noise(1, seed=1)[0], noise(1, seed=2, size=16)[0], np.full((8, 8, 3), (255, 0, 7), np.uint8)]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]).astype(float)
    found = colour_statistics(iter(images))
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, pixels.std(0), rtol=1e-12)


def test_a_linear_change_of_each_channel_is_matched_exactly():
    source = noise(6, seed=3, low=40, high=180)
    target = (source * FACTOR + OFFSET).round().astype(np.uint8)
    matched = match_colours(source, colour_statistics(source), colour_statistics(target[::-1]))  # statistics know no order
    assert np.abs(matched.astype(int) - target).max() <= 1  # rounding of the target
    assert np.abs(source.astype(int) - target).max() > 20


def test_values_are_rounded():
    source, target = ColourStatistics(np.zeros(3), np.ones(3)), ColourStatistics(np.array([0.6, -0.6, 0.4]), np.ones(3))
    np.testing.assert_array_equal(match_colours(np.full((1, 1, 3), 10, np.uint8), source, target), [[[11, 9, 10]]])


def test_values_are_clipped_and_constant_channels_are_shifted():
    zero = np.zeros(3)
    black, bright = ColourStatistics(zero, zero), ColourStatistics(np.array([300.0, 20, -5]), zero + 10)
    np.testing.assert_array_equal(match_colours(np.full((1, 1, 3), 0, np.uint8), black, bright), [[[255, 20, 0]]])
