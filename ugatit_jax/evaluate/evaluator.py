"""The evaluator of training and --mode=eval: generators in, metrics of both directions out."""

import functools
import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import normalize, to_rgb
from ugatit_jax.common.progress import announced, track
from ugatit_jax.config.derived import uses_identity
from ugatit_jax.data import Datasets, Source, eval_images
from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.evaluate.classifier import (
    MAX_TRAINING_IMAGES,
    SIDE,
    Classifier,
    mean_accuracy,
    reliability_notes,
    train_classifier,
)
from ugatit_jax.evaluate.direction import DirectionOutputs, run_direction
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import find_effnet
from ugatit_jax.evaluate.heatmap import heatmap_metrics
from ugatit_jax.evaluate.image_errors import outside_l1
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import cached_path, load_weights
from ugatit_jax.evaluate.metrics import MetricValue, flatten_metrics
from ugatit_jax.evaluate.paired_test import NOTE, PairedTest, find_pairs
from ugatit_jax.evaluate.protocols import effnet_metrics, inception_metrics
from ugatit_jax.evaluate.truth import NO_SSIM
from ugatit_jax.models.names import DIRECTIONS, source_of, target_of
from ugatit_jax.models.networks import Networks

logger = logging.getLogger(__name__)


class DirectionScores(NamedTuple):
    """One direction, evaluated."""

    outputs: DirectionOutputs
    metrics: dict[str, MetricValue]
    target_logits: np.ndarray  # [n], the classifier's log odds that a fake is of its target
    truths: np.ndarray | None = None  # uint8 [n, h, w, 3], the true translations, where test images are paired
    truth_l1: np.ndarray | None = None  # [n], of the fakes to them


class Evaluator:
    """Evaluates generators on the test images of both domains, or on the training images where there is no test split.

    What does not depend on the generators is computed once: the classifier, and the features of the real images.
    """

    def __init__(
        self,
        config: ConfigDict,
        datasets: Datasets,
        networks: Networks,
        mesh: jax.sharding.Mesh,
        extractor: FeatureExtractor | None,
        max_images: int | None = None,
        effnet: EffnetExtractor | None = None,
    ):
        """extractor: None for no Inception metrics. max_images: of each domain, evenly spaced; None for all.

        effnet: None for no metrics of EfficientNet-Lite0. Raises UserError below two images, and where data.paired_test
        is True and there are no pairs.
        """
        self.config, self.datasets, self.networks, self.mesh = config, datasets, networks, mesh
        self.extractor, self.effnet = extractor, effnet
        self.sources: dict[str, Source] = {}
        self.indices: dict[str, list[int]] = {}
        self.notes: list[str] = []
        for domain in 'AB':
            source = getattr(datasets, f'test_{domain}')
            if source is None:
                source = getattr(datasets, f'train_{domain}')
                self.notes.append(f'there are no test images of {domain}: evaluated on training images')
            count = len(source) if max_images is None else min(max_images, len(source))
            if count < 2:
                raise UserError(f'{source.name} has {len(source)} image; an evaluation needs 2 or more of each domain')
            self.sources[domain] = source
            self.indices[domain] = evenly_spaced_indices(len(source), count)
        pairs = find_pairs(config, datasets)
        self.paired = None if pairs is None else PairedTest(config, datasets, self.indices, pairs, effnet)
        if self.paired is not None:
            self.notes += [NOTE] if self.paired.has_ssim else [NOTE, NO_SSIM]

    @property
    def has_masks(self) -> bool:
        """Whether the images of both domains have masks of what has to change, which the heatmap metrics need."""
        return all(hasattr(source, 'mask') for source in self.sources.values())

    def real_batches(self, domain: str) -> Iterator[np.ndarray]:
        """Batches of the real images as the networks see them, float32 [b, size, size, C] in [-1, 1]."""
        chosen, size = self.indices[domain], self.config.evaluation.batch_size
        for start in track(range(0, len(chosen), size), f'translating {domain}', -(-len(chosen) // size), 'batches'):
            yield eval_images(self.sources[domain], chosen[start : start + size], self.config)

    def real_images(self, domain: str) -> Iterator[np.ndarray]:
        """The real images one by one, uint8 [size, size, 3]."""
        return (image for batch in self.real_batches(domain) for image in to_rgb(batch))

    @functools.cached_property
    def classifier(self) -> Classifier:
        """Trained on the training images without augmentation."""
        images = {}
        for domain in 'AB':
            source = getattr(self.datasets, f'train_{domain}')
            chosen = evenly_spaced_indices(len(source), MAX_TRAINING_IMAGES)
            images[domain] = [fit_square(to_rgb(eval_images(source, [i], self.config))[0], SIDE) for i in chosen]
        with announced('training the classifier of domain accuracy', jax.devices()[0].device_kind):
            return train_classifier(images['A'], images['B'], self.config.seed)

    @functools.cached_property
    def classifier_accuracy(self) -> float:
        """The classifier's accuracy on the real images, the mean of both domains."""
        accuracy = mean_accuracy(self.classifier, {domain: self.real_images(domain) for domain in 'AB'})
        for note in reliability_notes(accuracy):
            logger.warning('%s', note)
        return accuracy

    @functools.cached_property
    def real_features(self) -> dict[str, np.ndarray]:
        """Inception features of the real images, float32 [n, 2048] by domain."""
        return {
            domain: self.features(self.original_images(domain), f'real_{domain}', len(self.indices[domain]))
            for domain in 'AB'
        }

    @functools.cached_property
    def real_effnet_features(self) -> dict[str, np.ndarray]:
        """EfficientNet-Lite0 features of the real images, float32 [n, 1280] by domain."""
        return {
            domain: self.effnet_features(self.original_images(domain), f'real_{domain}', len(self.indices[domain]))
            for domain in 'AB'
        }

    def original_images(self, domain: str) -> Iterator[np.ndarray]:
        """The real images at the size of their files, uint8 [h, w, 3], cut or padded to squares as data.fit says.

        Not resized: `python -m ugatit_jax.evaluate` on folders of outputs and of test images gives the same numbers.
        """
        fit, background = self.config.data.fit, tuple(self.config.data.background)
        for i in self.indices[domain]:
            pixels = self.sources[domain].read(i)
            if fit != 'stretch':
                side = (min if fit == 'short_side_crop' else max)(pixels.shape[:2])
                pixels = fit_square(pixels, side, fit, background)
            yield to_rgb(pixels)

    def features(self, images: Iterable[np.ndarray], name: str, count: int) -> np.ndarray:
        """Inception features, float32 [count, 2048], of images uint8 [h, w, 3]; name: of these, for lines of progress."""
        return self.extractor(track(images, f'Inception on {name}', count), self.config.evaluation.protocol)

    def effnet_features(self, images: Iterable[np.ndarray], name: str, count: int) -> np.ndarray:
        """EfficientNet-Lite0 features, float32 [count, 1280], as `features`."""
        return self.effnet(track(images, f'EfficientNet-Lite0 on {name}', count))

    def __call__(self, generator: dict[str, Any]) -> dict[str, DirectionScores]:
        """Evaluates the generators, parameters of genA2B and genB2A, in both directions: by 'A2B' and 'B2A'."""
        counts = [len(self.indices[domain]) for domain in 'AB']
        again = 'classifier' in self.__dict__  # what does not depend on the generators is there already
        networks = [network for network in ('extractor', 'effnet') if getattr(self, network) is not None]
        key = again, networks, self.config.data.image_size, self.config.model.ch, self.config.model.n_res
        with announced(f'evaluating {counts[0]} images of A and {counts[1]} of B', *key, jax.devices()[0].device_kind):
            return {direction: self.score(generator, direction) for direction in DIRECTIONS}

    def score(self, generator: dict[str, Any], direction: str) -> DirectionScores:
        """Evaluates one direction; Inception metrics only where there is an extractor."""
        source, target = source_of(direction), target_of(direction)
        outputs = run_direction(
            self.networks,
            generator,
            direction,
            self.real_batches(source),
            self.real_batches(target) if uses_identity(self.config) else (),
            self.mesh,
            self.config.evaluation.batch_size,
        )
        logits = self.classifier.logits(outputs.fake, target)
        metrics = means(outputs.metrics)
        metrics['domain_accuracy'] = MetricValue(float(np.mean(logits > 0)))
        metrics['domain_accuracy_real'] = MetricValue(self.classifier_accuracy)
        get_mask = getattr(self.sources[source], 'mask', None)
        if get_mask is not None:
            masks = np.stack([get_mask(i) for i in self.indices[source]])
            metrics |= means({'outside_l1': outside_l1(normalize(outputs.real), normalize(outputs.fake), masks)})
            if outputs.heatmap is not None:
                metrics |= means(heatmap_metrics(outputs.heatmap, masks))
        if self.extractor is not None:
            real = self.real_features
            metrics |= inception_metrics(
                self.features(outputs.fake, f'fake_{target}', len(outputs.fake)),
                real[target],
                real[source],
                self.config.evaluation.protocol,
            )
        if self.effnet is not None:
            real = self.real_effnet_features
            metrics |= effnet_metrics(
                self.effnet_features(outputs.fake, f'fake_{target}', len(outputs.fake)),
                real[target],
                real[source],
                self.config.evaluation.protocol,
            )
        if self.paired is None:
            return DirectionScores(outputs, metrics, logits)
        truth_metrics, truth_l1 = self.paired.score(outputs.fake, direction)
        return DirectionScores(outputs, metrics | truth_metrics, logits, self.paired.truths[direction], truth_l1)

    def metrics(self, generator: dict[str, Any]) -> dict[str, float]:
        """Both directions as the metrics of a log: kid_A2B, kid_B2A and their mean kid, and so on."""
        return flatten_metrics({direction: scores.metrics for direction, scores in self(generator).items()})


def means(per_image: dict[str, np.ndarray]) -> dict[str, MetricValue]:
    """Metrics of each image [n] -> their means."""
    return {name: MetricValue(float(values.mean())) for name, values in per_image.items()}


def make_evaluator(config: ConfigDict, datasets: Datasets, networks: Networks, mesh: jax.sharding.Mesh) -> Evaluator | None:
    """The evaluator of a training run, None where evaluation.every is 0.

    Nothing is downloaded: without a file of Inception weights there are no Inception metrics, and without the package of
    EfficientNet-Lite0 none of its, which is logged. Raises UserError for weights that cannot be read, for too few images,
    and where evaluation.effnet or data.paired_test asks for what is not there.
    """
    if not config.evaluation.every:
        return None
    path, extractor = config.evaluation.inception_weights, None
    if path != 'none':
        if path or cached_path().exists():
            extractor = FeatureExtractor(load_weights(path or str(cached_path())), mesh)
        else:
            logger.info(
                'evaluation without KID and FID: %s does not exist; put it there, or run --mode=eval, which downloads it',
                cached_path(),
            )
    effnet_weights, reason = find_effnet(config.evaluation.effnet)
    if effnet_weights is None:
        logger.info('evaluation with %s', reason)
    effnet = None if effnet_weights is None else EffnetExtractor(effnet_weights, mesh)
    evaluator = Evaluator(config, datasets, networks, mesh, extractor, config.evaluation.images, effnet)
    for note in evaluator.notes:
        logger.warning('%s', note)
    return evaluator
