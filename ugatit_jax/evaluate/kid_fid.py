"""KID, FID, precision and recall between two sets of features [n, d], in float64 on the host."""

from collections.abc import Iterator

import numpy as np

from ugatit_jax.evaluate.metrics import MetricValue

NEIGHBOURS = 3  # k of precision and recall; the paper's (Kynkaanniemi et al. 2019)
BLOCK_SIZE = 10  # images in a KID block; the U-GAT-IT authors' tool's
CHUNK = 1024  # rows of a distance matrix computed at a time: 1024 x 50,000 float64 are 0.4 GB


def polynomial_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(x.y / d + 1)^3 of features [m, d], [n, d] -> [m, n] (Binkowski et al. 2018, section 4)."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def squared_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy between features [m, d] and [n, d]; may be below 0."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    within = 0.0
    for features in (x, y):
        kernel, n = polynomial_kernel(features, features), len(features)
        within += (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(within - 2 * polynomial_kernel(x, y).mean())


def kid_of_subsets(
    fake: np.ndarray, real: np.ndarray, subsets: int = 100, subset_size: int | None = None, seed: int = 2020
) -> MetricValue:
    """KID over random subsets, as torch-fidelity 0.4 draws them: mean and standard deviation (ddof 0).

    fake: [m, d], real: [n, d]. subset_size is min(1000, n // 2, m // 2) by default: subsets of all n images would all be
    the same, and the deviation 0. The defaults of subsets and seed are torch-fidelity's.
    """
    size = subset_size or kid_subset_size(fake, real)
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        subset = [features[random.choice(len(features), size, replace=False)] for features in (fake, real)]
        values.append(squared_mmd(*subset))
    return MetricValue(float(np.mean(values)), float(np.std(values)))


def kid_subset_size(fake: np.ndarray, real: np.ndarray) -> int:
    """min(1000, half of the smaller set), but at least 2: the MMD of one image is not defined. 1000 is torch-fidelity's."""
    return max(min(1000, len(fake) // 2, len(real) // 2), 2)


def kid_of_blocks(fake: np.ndarray, real: np.ndarray) -> np.ndarray:
    """KID of consecutive disjoint blocks of at most 10 images, as the authors' tool takes them: float64 [blocks].

    There are ceil(n / 10) blocks, n of the larger set, but each has at least two images of the smaller set.
    """
    smaller, larger = sorted((len(fake), len(real)))
    count = min(-(-larger // BLOCK_SIZE), smaller // 2)
    blocks = zip(np.array_split(fake, count), np.array_split(real, count))
    return np.array([squared_mmd(x, y) for x, y in blocks])


def standard_error(values: np.ndarray) -> float | None:
    """Standard error of the mean of values [n] (ddof 1); None for a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """FID of features [m, d], [n, d]: |mean x - mean y|^2 + tr(Sx + Sy - 2 (Sx Sy)^(1/2)) (Heusel et al. 2017).

    S are the covariances (ddof 1). No [d, d] matrix root is needed: with X and Y the centred features over sqrt(n - 1),
    Sx = X'X and Sy = Y'Y, so the non-zero eigenvalues of Sx Sy are those of (X Y')(X Y')', and the trace of the root is the
    sum of the singular values of X Y' [m, n].
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    centred = [(features - features.mean(0)) / np.sqrt(len(features) - 1) for features in (x, y)]
    # R of X = QR has the same X'X in at most d rows
    reduced = [c if len(c) <= c.shape[1] else np.linalg.qr(c, mode='r') for c in centred]
    root_trace = np.linalg.svd(reduced[0] @ reduced[1].T, compute_uv=False).sum()
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + sum(np.sum(c**2) for c in centred) - 2 * root_trace)


def pairwise_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Euclidean distances between features [m, d] and [n, d]: [m, n]."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return np.sqrt(np.maximum(squared, 0))


def row_chunks(x: np.ndarray) -> Iterator[np.ndarray]:
    """CHUNK rows of x at a time, so that the whole distance matrix is never in memory."""
    return (x[start : start + CHUNK] for start in range(0, len(x), CHUNK))


def manifold_radii(x: np.ndarray) -> np.ndarray:
    """Distance of each of features [n, d] to its k-th nearest neighbour, k = NEIGHBOURS: [n]."""
    k = min(NEIGHBOURS, len(x) - 1)
    # at index k, not k - 1: the nearest is the image itself, at distance 0 up to rounding
    return np.concatenate([np.partition(pairwise_distances(rows, x), k, axis=1)[:, k] for rows in row_chunks(x)])


def fraction_in_manifold(points: np.ndarray, manifold: np.ndarray) -> float:
    """Fraction of points [m, d] inside the manifold of features [n, d]: the union of balls up to the k-th neighbour."""
    radii = manifold_radii(manifold)
    inside = [(pairwise_distances(rows, manifold) <= radii).any(axis=1) for rows in row_chunks(points)]
    return float(np.mean(np.concatenate(inside)))


def precision_and_recall(fake: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Fraction of fakes in the manifold of the reals, and of reals in that of the fakes (Kynkaanniemi et al. 2019)."""
    return fraction_in_manifold(fake, real), fraction_in_manifold(real, fake)
