"""The three ways in which KID and FID are reported, from features of fakes, of their target and of their source."""

import numpy as np

from ugatit_jax.evaluate import kid_fid
from ugatit_jax.evaluate.kid_fid import Estimate, standard_error

PROTOCOLS = {
    'fidelity': 'torch-fidelity 0.4: TensorFlow 1 bilinear to 299x299; KID over 100 random subsets of min(1000, n / 2)',
    'ugatit': "the authors' tool: Pillow bilinear to 299x299; KID over consecutive blocks of at most 10 images",
    'clean': 'clean-fid: Pillow bicubic on floats to 299x299; KID over 100 random subsets of min(1000, n / 2)',
}
SPREADS = {
    'fidelity': 'standard deviation over the subsets',
    'clean': 'standard deviation over the subsets',
    'ugatit': 'standard error over the blocks (ddof 1)',
}
ENOUGH_FOR_FID = 2048  # below as many images as features, FID depends on their number
OLD_WEIGHT = 0.02  # of the target in the mean that the authors' tool had at one time


def compare(fake: np.ndarray, target: np.ndarray, source: np.ndarray | None, protocol: str) -> dict[str, Estimate]:
    """Metrics of one direction from features [n, 2048]; without a source, those that need it are missing.

    kid: fakes to target. kid_source: fakes to the images they were made from. kid_baseline: source to target, what
    making nothing would score. In `ugatit` also kid_mean, the equal mean of the first two, and kid_mean_old, 0.02 * kid +
    0.98 * kid_source. KID is as it comes out (the tool and the paper print 100 times it), and may be negative.
    """
    if protocol == 'ugatit':
        metrics = compare_blocks(fake, target, source)
    else:
        metrics = {'kid': kid_fid.kid_of_subsets(fake, target)}
        if source is not None:
            metrics['kid_source'] = kid_fid.kid_of_subsets(fake, source)
            metrics['kid_baseline'] = kid_fid.kid_of_subsets(source, target)
    metrics['fid'] = Estimate(kid_fid.frechet_distance(fake, target), None)
    if source is not None:
        metrics['fid_baseline'] = Estimate(kid_fid.frechet_distance(source, target), None)
    precision, recall = kid_fid.precision_and_recall(fake, target)
    return metrics | {'precision': Estimate(precision, None), 'recall': Estimate(recall, None)}


def compare_blocks(fake: np.ndarray, target: np.ndarray, source: np.ndarray | None) -> dict[str, Estimate]:
    """The KIDs of the `ugatit` protocol."""
    to_target = kid_fid.kid_of_blocks(fake, target)
    metrics = {'kid': estimate(to_target)}
    if source is not None:
        to_source = kid_fid.kid_of_blocks(fake, source)
        metrics['kid_source'] = estimate(to_source)
        metrics['kid_mean'] = mixture(to_target, to_source, 0.5)
        metrics['kid_mean_old'] = mixture(to_target, to_source, OLD_WEIGHT)
        metrics['kid_baseline'] = estimate(kid_fid.kid_of_blocks(source, target))
    return metrics


def estimate(blocks: np.ndarray) -> Estimate:
    """Mean and standard error of blocks [n]."""
    return Estimate(float(blocks.mean()), standard_error(blocks))


def mixture(target: np.ndarray, source: np.ndarray, weight: float) -> Estimate:
    """weight * target + (1 - weight) * source of their blocks [m], [n]."""
    if len(target) == len(source):  # the blocks hold the same fakes
        return estimate(weight * target + (1 - weight) * source)
    errors = [standard_error(blocks) for blocks in (target, source)]
    # they are not independent: the weighted sum is the most that the error can be
    spread = None if None in errors else weight * errors[0] + (1 - weight) * errors[1]
    return Estimate(float(weight * target.mean() + (1 - weight) * source.mean()), spread)


def caveats(counts: dict[str, int]) -> list[str]:
    """What a reader has to know about numbers from so many images, by role."""
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
