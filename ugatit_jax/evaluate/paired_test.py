"""The paired test images of a run: what the truth metrics compare with, and what the baselines score there."""

import functools

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import to_rgb
from ugatit_jax.data import Datasets, eval_images
from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.evaluate.colour_match import MAX_IMAGES, ColourStatistics, colour_statistics, match_colours
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.metrics import MetricValue
from ugatit_jax.evaluate.pairs import pair_by_name, require_pairs
from ugatit_jax.evaluate.truth import can_compute_ssim, compare, truth_metrics
from ugatit_jax.models.names import DIRECTIONS, source_of, target_of

NOTE = (
    'test images of A and B with equal names are taken as true pairs (truth metrics); where they are not, '
    'data.paired_test=False switches that off'
)


class PairedTest:
    """The true images of both directions; those and the baselines do not depend on the generators and are made once."""

    def __init__(
        self,
        config: ConfigDict,
        datasets: Datasets,
        indices: dict[str, list[int]],
        pairs: dict[str, list[int]],
        effnet: EffnetExtractor | None,
    ):
        """indices: test images to evaluate, by domain. pairs: of each test image of a domain the index in the other one."""
        self.config, self.datasets, self.indices, self.pairs, self.effnet = config, datasets, indices, pairs, effnet

    @property
    def has_ssim(self) -> bool:
        """Whether SSIM is among the metrics."""
        return can_compute_ssim(self.config.data.image_size)

    def read(self, domain: str, indices: list[int], split: str = 'test') -> np.ndarray:
        """Images of a domain as the networks see them, uint8 [n, size, size, 3]."""
        source = getattr(self.datasets, f'{split}_{domain}')
        return np.stack([to_rgb(eval_images(source, [i], self.config))[0] for i in indices])

    @functools.cached_property
    def truths(self) -> dict[str, np.ndarray]:
        """By direction: the true translation of each evaluated image of the source, in order, uint8 [n, size, size, 3]."""
        found = {}
        for direction in DIRECTIONS:
            source, target = source_of(direction), target_of(direction)
            found[direction] = self.read(target, [self.pairs[source][i] for i in self.indices[source]])
        return found

    @functools.cached_property
    def statistics(self) -> dict[str, ColourStatistics]:
        """Of the training images of each domain, which are unpaired: the colour match knows no more than the networks."""
        found = {}
        for domain in 'AB':
            chosen = evenly_spaced_indices(len(getattr(self.datasets, f'train_{domain}')), MAX_IMAGES)
            found[domain] = colour_statistics(self.read(domain, [i], 'train')[0] for i in chosen)
        return found

    @functools.cached_property
    def baselines(self) -> dict[str, dict[str, dict[str, np.ndarray]]]:
        """By direction: what the input itself ('input') and its colour match ('colour') score against the true images."""
        found = {}
        for direction in DIRECTIONS:
            source, target = source_of(direction), target_of(direction)
            inputs, truths = self.read(source, self.indices[source]), self.truths[direction]
            statistics = self.statistics[source], self.statistics[target]
            matched = (match_colours(pixels, *statistics) for pixels in inputs)  # not all in float64 at once
            found[direction] = {
                name: compare(images, truths, self.effnet) for name, images in (('input', inputs), ('colour', matched))
            }
        return found

    def score(self, fakes: np.ndarray, direction: str) -> tuple[dict[str, MetricValue], np.ndarray]:
        """The truth metrics of fakes, uint8 [n, size, size, 3], of all evaluated images; and the L1 of each [n]."""
        found = compare(fakes, self.truths[direction], self.effnet)
        return truth_metrics(found, self.baselines[direction]), found['l1']


def find_pairs(config: ConfigDict, datasets: Datasets) -> dict[str, list[int]] | None:
    """Of each test image of a domain the index of its pair in the other one, by domain; None where they are not paired.

    As data.paired_test says: True requires pairs, or raises UserError; unset takes test images of equal names as pairs.
    """
    wanted, tests = config.data.paired_test, {'A': datasets.test_A, 'B': datasets.test_B}
    if wanted is False:
        return None
    missing = [domain for domain, source in tests.items() if source is None]
    if missing:
        if wanted:
            raise UserError(f'data.paired_test=True, but there are no test images of {" and ".join(missing)}; leave it out')
        return None
    keys = {domain: source.keys for domain, source in tests.items()}
    if wanted:
        pairs = require_pairs(
            keys['A'], keys['B'], 'data.paired_test=True', ('the test images of A', 'the test images of B')
        )
    else:
        pairs = pair_by_name(keys['A'], keys['B'])
    return None if pairs is None else {'A': pairs, 'B': np.argsort(pairs).tolist()}  # B's is the inverse of A's
