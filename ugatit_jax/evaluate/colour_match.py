"""Per-channel colour match: what a translation scores that only moves colours from one domain to the other."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MAX_IMAGES = 1000  # of each domain; the mean and deviation of their pixels change little with more


class ColourStatistics(NamedTuple):
    """Mean and standard deviation of each channel over all pixels of a set of images, 0..255: float64 [3] each."""

    mean: np.ndarray
    deviation: np.ndarray


def colour_statistics(images: Iterable[np.ndarray]) -> ColourStatistics:
    """The statistics of images uint8 [h, w, 3], each of its own size."""
    count, total, squares = 0, np.zeros(3), np.zeros(3)
    for pixels in images:
        values = pixels.reshape(-1, 3).astype(np.float64)
        count += len(values)
        total += values.sum(0)
        squares += np.square(values).sum(0)
    mean = total / count
    return ColourStatistics(mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0)))


def match_colours(pixels: np.ndarray, source: ColourStatistics, target: ColourStatistics) -> np.ndarray:
    """uint8 [..., 3] with the source's mean and deviation of each channel replaced by the target's, rounded and clipped."""
    constant = source.deviation == 0  # there is nothing to scale
    scale = np.where(constant, 1, target.deviation / np.where(constant, 1, source.deviation))
    return ((pixels - source.mean) * scale + target.mean).round().clip(0, 255).astype(np.uint8)
