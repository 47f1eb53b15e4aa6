"""The three protocols by which KID and FID are reported, from features of fakes, target and source."""

import numpy as np

from ugatit_jax.evaluate import kid_fid
from ugatit_jax.evaluate.kid_fid import standard_error
from ugatit_jax.evaluate.metrics import MetricValue

FEATURES = ('available', 'inception', 'effnet', 'both')  # whose features KID of two folders is of
ESTIMATORS = {  # of KID, by protocol
    'fidelity': 'KID over 100 random subsets of min(1000, n / 2)',
    'ugatit': 'KID over consecutive blocks of at most 10 images',
    'clean': 'KID over 100 random subsets of min(1000, n / 2)',
}
PROTOCOLS = {
    'fidelity': f'torch-fidelity 0.4: TensorFlow 1 bilinear to 299x299; {ESTIMATORS["fidelity"]}',
    'ugatit': f"the authors' tool: Pillow bilinear to 299x299; {ESTIMATORS['ugatit']}",
    'clean': f'clean-fid: Pillow bicubic on floats to 299x299; {ESTIMATORS["clean"]}',
}
SPREADS = {  # what MetricValue.spread of KID is
    'fidelity': 'standard deviation over the subsets',
    'clean': 'standard deviation over the subsets',
    'ugatit': 'standard error over the blocks (ddof 1)',
}
ENOUGH_FOR_FID = 2048  # images; with fewer than there are features the covariance is singular, and FID depends on n
OLD_TARGET_WEIGHT = 0.02  # of the target in the mean KID of an older version of the authors' tool


def inception_metrics(
    fake: np.ndarray, target: np.ndarray, source: np.ndarray | None, protocol: str
) -> dict[str, MetricValue]:
    """KID, FID, precision and recall of one direction from features [n, 2048]; without a source, only those to the target.

    kid: fakes to target. kid_source: fakes to the images they were made from. kid_baseline, fid_baseline: source to target,
    what copying the input would score. `ugatit` also has kid_mean, the equal mean of kid and kid_source, and kid_mean_old,
    0.02 * kid + 0.98 * kid_source. KID is unscaled (the tool and the paper print 100 times it), and may be negative.
    """
    metrics = kids(fake, target, source, protocol)
    metrics['fid'] = MetricValue(kid_fid.frechet_distance(fake, target))
    if source is not None:
        metrics['fid_baseline'] = MetricValue(kid_fid.frechet_distance(source, target))
    precision, recall = kid_fid.precision_and_recall(fake, target)
    return metrics | {'precision': MetricValue(precision), 'recall': MetricValue(recall)}


def effnet_metrics(fake: np.ndarray, target: np.ndarray, source: np.ndarray | None, protocol: str) -> dict[str, MetricValue]:
    """kid_effnet, kid_effnet_source and kid_effnet_baseline from EfficientNet-Lite0 features [n, 1280].

    The estimator is the protocol's, the features are not: no number of these compares with a KID of InceptionV3.
    """
    found = kids(fake, target, source, protocol)
    names = {'kid': 'kid_effnet', 'kid_source': 'kid_effnet_source', 'kid_baseline': 'kid_effnet_baseline'}
    return {names[name]: value for name, value in found.items() if name in names}


def kids(fake: np.ndarray, target: np.ndarray, source: np.ndarray | None, protocol: str) -> dict[str, MetricValue]:
    """KID to the target, and with a source also kid_source, kid_baseline and, for `ugatit`, its two means."""
    if protocol == 'ugatit':
        return block_kids(fake, target, source)
    metrics = {'kid': kid_fid.kid_of_subsets(fake, target)}
    if source is not None:
        metrics['kid_source'] = kid_fid.kid_of_subsets(fake, source)
        metrics['kid_baseline'] = kid_fid.kid_of_subsets(source, target)
    return metrics


def block_kids(fake: np.ndarray, target: np.ndarray, source: np.ndarray | None) -> dict[str, MetricValue]:
    """The KIDs of the `ugatit` protocol, each the mean over blocks with its standard error."""
    to_target = kid_fid.kid_of_blocks(fake, target)
    metrics = {'kid': mean_with_error(to_target)}
    if source is not None:
        to_source = kid_fid.kid_of_blocks(fake, source)
        metrics['kid_source'] = mean_with_error(to_source)
        metrics['kid_mean'] = weighted_mean(to_target, to_source, 0.5)
        metrics['kid_mean_old'] = weighted_mean(to_target, to_source, OLD_TARGET_WEIGHT)
        metrics['kid_baseline'] = mean_with_error(kid_fid.kid_of_blocks(source, target))
    return metrics


def mean_with_error(blocks: np.ndarray) -> MetricValue:
    """Mean and standard error of the KIDs of blocks [n]."""
    return MetricValue(float(blocks.mean()), standard_error(blocks))


def weighted_mean(to_target: np.ndarray, to_source: np.ndarray, weight: float) -> MetricValue:
    """weight * to_target + (1 - weight) * to_source, from the KIDs of blocks [m] and [n]."""
    if len(to_target) == len(to_source):  # paired: block i of both holds the same fakes
        return mean_with_error(weight * to_target + (1 - weight) * to_source)
    errors = [standard_error(blocks) for blocks in (to_target, to_source)]
    # the two means are correlated: the weighted sum of their errors is the upper bound
    spread = None if None in errors else weight * errors[0] + (1 - weight) * errors[1]
    return MetricValue(float(weight * to_target.mean() + (1 - weight) * to_source.mean()), spread)


def sample_size_notes(counts: dict[str, int]) -> list[str]:
    """What a reader has to know about metrics of so few images; counts: images by role (fake, target, source)."""
    fewest, compared = min(counts.values()), min(counts['fake'], counts['target'])
    notes = []
    if fewest < ENOUGH_FOR_FID:
        notes.append(
            f'FID from {fewest} images is biased upwards and only comparable at the same number of images: it wants '
            f'{ENOUGH_FOR_FID} or more; look at KID'
        )
    if compared <= kid_fid.NEIGHBOURS:
        notes.append(
            f'precision and recall from {compared} images look at {compared - 1} neighbours instead of {kid_fid.NEIGHBOURS}'
        )
    return notes
