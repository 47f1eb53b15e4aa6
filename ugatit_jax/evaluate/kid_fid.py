"""KID, FID, precision and recall of two sets of features, in float64 on the host; features are [n, d]."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

NEIGHBOURS = 3  # k of precision and recall
ROWS = 1024  # of a matrix of distances at a time


class Estimate(NamedTuple):
    """A number and its spread, whose meaning the protocol tells; None where one part alone cannot tell it."""

    value: float
    spread: float | None


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x.y / d + 1)^3 of features [m, d], [n, d] -> [m, n] (Binkowski et al. 2018, section 4)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features [m, d] and [n, d]; may be below 0."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = 0.0
    for features in (x, y):
        kernel, n = polynomial_kernel(features, features), len(features)
        within += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(within - 2 * polynomial_kernel(x, y).mean())


def kid_of_subsets(
    fake: np.ndarray, real: np.ndarray, subsets: int = 100, subset_size: int | None = None, seed: int = 2020
) -> Estimate:
    """KID as torch-fidelity 0.4 draws it: mean and np.std over random subsets.

    subset_size is min(1000, n // 2) by default, n the smaller set's: at n itself all subsets are the same and the spread
    says nothing.
    """
    size = subset_size or kid_subset_size(fake, real)
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        chosen = [features[random.choice(len(features), size, replace=False)] for features in (fake, real)]
        values.append(squared_mmd(*chosen))
    return Estimate(float(np.mean(values)), float(np.std(values)))


def kid_subset_size(fake: np.ndarray, real: np.ndarray) -> int:
    """min(1000, n // 2) of the smaller set, 2 at least: one image has no discrepancy within."""
    return max(min(1000, len(fake) // 2, len(real) // 2), 2)


def kid_of_blocks(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """KID of consecutive disjoint blocks of at most 10, as the authors' tool takes them: float64 [blocks].

    There are ceil(n / 10) of them, n the larger set's, but never so many that a block of the smaller has one image.
    """
    smaller, larger = sorted((len(fake), len(real)))
    count = min(-(-larger // 10), smaller // 2)
    pairs = zip(np.array_split(fake, count), np.array_split(real, count))
    return np.array([squared_mmd(x, y) for x, y in pairs])


def standard_error(values: np.ndarray) -> float | None:
    """Of a mean of values [n] (ddof 1); None for a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """FID: |mean x - mean y|^2 + tr(Sx + Sy - 2 (Sx Sy)^(1/2)), S the covariances (ddof 1) (Heusel et al. 2017).

    With X and Y the centred features over sqrt(n - 1), Sx = X'X and Sy = Y'Y, so Sx Sy has the eigenvalues of
    (X Y')(X Y')' and zeros: the last trace is the sum of the singular values of X Y', [m, n] instead of [d, d].
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    centred = [(features - features.mean(0)) / np.sqrt(len(features) - 1) for features in (x, y)]
    # R of X = QR has the same X'X in at most d rows
    short = [c if len(c) <= c.shape[1] else np.linalg.qr(c, mode='r') for c in centred]
    cross = np.linalg.svd(short[0] @ short[1].T, compute_uv=False).sum()
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + sum(np.sum(c**2) for c in centred) - 2 * cross)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances of features [m, d], [n, d] -> [m, n]."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.sqrt(np.maximum(squared, 0))


def blocks_of_rows(x: np.ndarray) -> Iterator[np.ndarray]:
    """Some rows at a time, so that no matrix of all distances is held."""
    return (x[start : start + ROWS] for start in range(0, len(x), ROWS))


def radii(x: np.ndarray) -> np.ndarray:
    """Distance of each of [n, d] to its third nearest other: [n]."""
    k = min(NEIGHBOURS, len(x) - 1)
    # the nearest is the image itself, at 0 up to rounding
    return np.concatenate([np.partition(distances(rows, x), k, axis=1)[:, k] for rows in blocks_of_rows(x)])


def share_inside(points: np.ndarray, others: np.ndarray) -> float:
    """Share of points [m, d] within the neighbourhood of any of others [n, d]."""
    radius = radii(others)
    return float(
        np.mean(np.concatenate([(distances(rows, others) <= radius).any(axis=1) for rows in blocks_of_rows(points)]))
    )


def precision_and_recall(fake: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Shares of fakes inside the reals' neighbourhoods, and of reals inside the fakes' (Kynkaanniemi et al. 2019)."""
    return share_inside(fake, real), share_inside(real, fake)
