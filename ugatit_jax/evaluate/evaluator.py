"""What training and --mode=eval call: generators in, numbers for both directions out."""

import functools
import hashlib
import logging
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.config.derived import DIRECTIONS
from ugatit_jax.data import Datasets, Source, eval_images
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.sources.open_source import spread_out
from ugatit_jax.errors import UserError
from ugatit_jax.evaluate import protocols, weights
from ugatit_jax.evaluate.classifier import IMAGES, SIDE, Classifier, train_classifier
from ugatit_jax.evaluate.heatmap import heatmap_metrics
from ugatit_jax.evaluate.inception_features import Extractor
from ugatit_jax.evaluate.kid_fid import Estimate
from ugatit_jax.evaluate.translation import Translation, translate
from ugatit_jax.images import to_rgb
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.objectives import uses_identity
from ugatit_jax.training.state import Params

logger = logging.getLogger(__name__)

ALWAYS = ('domain_accuracy', 'cycle_l1', 'cycle_psnr', 'identity_l1', 'identity_psnr')
HEATMAP = ('pointing_accuracy', 'heatmap_inside', 'heatmap_iou')
INCEPTION = ('kid', 'fid', 'precision', 'recall')


class Scored(NamedTuple):
    """One direction, evaluated."""

    translation: Translation
    metrics: dict[str, Estimate]
    target_logit: np.ndarray  # [n], the classifier's log odds that a fake is of its target


class Evaluator:
    """Evaluates generators on the test images of both domains, or on training ones where there are no others.

    What stays the same from one evaluation to the next is made once: the classifier and the features of real images.
    """

    def __init__(
        self,
        config: ConfigDict,
        datasets: Datasets,
        networks: Networks,
        mesh: jax.sharding.Mesh,
        extractor: Extractor | None,
        images: int | None = None,
    ):
        """images: of each domain at most, evenly spread; all where it is None. Raises UserError below two images."""
        self.config, self.datasets, self.networks, self.mesh, self.extractor = config, datasets, networks, mesh, extractor
        self.sources: dict[str, Source] = {}
        self.indices: dict[str, list[int]] = {}
        self.notes: list[str] = []
        for domain in 'AB':
            source = getattr(datasets, f'test_{domain}')
            if source is None:
                source = getattr(datasets, f'train_{domain}')
                self.notes.append(f'there are no test images of {domain}: evaluated on training images')
            count = len(source) if images is None else min(images, len(source))
            if count < 2:
                raise UserError(f'{source.name} has {len(source)} image; an evaluation needs 2 or more of each domain')
            self.sources[domain] = source
            self.indices[domain] = spread_out(len(source), count)

    def real(self, domain: str) -> Iterator[np.ndarray]:
        """Batches of the real images as the networks see them, float32 [b, size, size, C] in [-1, 1]."""
        chosen, size = self.indices[domain], self.config.evaluation.batch_size
        for start in range(0, len(chosen), size):
            yield eval_images(self.sources[domain], chosen[start : start + size], self.config)

    @functools.cached_property
    def classifier(self) -> Classifier:
        """LoadedGenerators on the training images as they lie there, before augmentation."""
        images = {}
        for domain in 'AB':
            source = getattr(self.datasets, f'train_{domain}')
            chosen = spread_out(len(source), IMAGES)
            images[domain] = [fit_square(to_rgb(eval_images(source, [i], self.config))[0], SIDE) for i in chosen]
        return train_classifier(images['A'], images['B'], self.config.seed)

    @functools.cached_property
    def classifier_accuracy(self) -> float:
        """Of the classifier on the real images that are evaluated, the mean of both domains'."""
        return float(
            np.mean(
                [
                    np.mean(self.classifier.logits((p for batch in self.real(domain) for p in to_rgb(batch)), domain) > 0)
                    for domain in 'AB'
                ]
            )
        )

    @functools.cached_property
    def real_features(self) -> dict[str, np.ndarray]:
        """Inception features of the real images by domain."""
        return {domain: self.features(p for batch in self.real(domain) for p in to_rgb(batch)) for domain in 'AB'}

    def features(self, images: Iterator[np.ndarray]) -> np.ndarray:
        """Inception features [n, 2048] of uint8 images."""
        return self.extractor(images, self.config.evaluation.protocol)

    def __call__(self, generator: Params) -> dict[str, Scored]:
        """Both directions of the generators {genA2B, genB2A}, by 'A2B' and 'B2A'."""
        return {direction: self.score(generator, direction) for direction in DIRECTIONS}

    def score(self, generator: Params, direction: str) -> Scored:
        """One direction: what needs no Inception first, then KID, FID, precision and recall where it is there."""
        source, target = direction[0], direction[-1]
        with_identity = uses_identity(self.config)
        translation = translate(
            self.networks,
            generator,
            direction,
            self.real(source),
            self.real(target) if with_identity else (),
            self.mesh,
            self.config.evaluation.batch_size,
        )
        logit = self.classifier.logits(translation.fake, target)
        metrics = {name: Estimate(float(values.mean()), None) for name, values in translation.metrics.items()}
        metrics['domain_accuracy'] = Estimate(float(np.mean(logit > 0)), None)
        metrics['domain_accuracy_real'] = Estimate(self.classifier_accuracy, None)
        find_mask = getattr(self.sources[source], 'mask', None)
        if find_mask is not None and translation.heatmap is not None:
            masks = np.stack([find_mask(i) for i in self.indices[source]])
            metrics |= {
                name: Estimate(float(values.mean()), None)
                for name, values in heatmap_metrics(translation.heatmap, masks).items()
            }
        if self.extractor is not None:
            real = self.real_features
            metrics |= protocols.compare(
                self.features(translation.fake), real[target], real[source], self.config.evaluation.protocol
            )
        return Scored(translation, metrics, logit)

    def metrics(self, generator: Params) -> dict[str, float]:
        """Both directions as the numbers of a log: kid_A2B, kid_B2A and their mean kid, and so on for every metric."""
        return flatten({name: scored.metrics for name, scored in self(generator).items()})


def flatten(metrics: dict[str, dict[str, Estimate]]) -> dict[str, float]:
    """Metrics by direction -> {'kid': mean of both, 'kid_A2B': ..., 'kid_B2A': ...}."""
    flat = {}
    for name in metrics['A2B']:
        values = {direction: metrics[direction][name].value for direction in DIRECTIONS}
        flat[name] = float(np.mean(list(values.values())))
        flat |= {f'{name}_{direction}': value for direction, value in values.items()}
    return flat


def make_evaluator(config: ConfigDict, datasets: Datasets, networks: Networks, mesh: jax.sharding.Mesh) -> Evaluator | None:
    """The evaluator of a training run, None where evaluation.every is 0; nothing is downloaded.

    Without Inception weights the metrics that need none are left, which is said once. Raises UserError where
    training.keep_best is a metric that there will not be.
    """
    if not config.evaluation.every:
        return validate_best_is_evaluated(config, None)
    named = config.evaluation.inception_weights
    extractor = None
    if named != 'none':
        path = named or str(weights.cached_path())
        if named or weights.cached_path().exists():
            extractor = Extractor(weights.load_weights(path), mesh)
        else:
            logger.info(
                'evaluation without KID and FID: %s is not there; put it there, or start --mode=eval once, which downloads '
                'it',
                path,
            )
    evaluator = Evaluator(config, datasets, networks, mesh, extractor, config.evaluation.images)
    for note in evaluator.notes:
        logger.warning('%s', note)
    validate_best_is_evaluated(config, evaluator)
    return evaluator


def metric_names() -> list[str]:
    """What an evaluation may give: the mean of both directions and each of them."""
    return [f'{name}{suffix}' for name in ALWAYS + HEATMAP + INCEPTION for suffix in ('', *(f'_{d}' for d in DIRECTIONS))]


def validate_best_is_evaluated(config: ConfigDict, evaluator: Evaluator | None) -> None:
    """Raises UserError where training.keep_best is a metric of evaluations, and checkpoints will be without it."""
    best, every, saved = config.training.keep_best, config.evaluation.every, config.training.checkpoint_every
    name = best.removeprefix('-').removesuffix('_A2B').removesuffix('_B2A')
    if name not in ALWAYS + HEATMAP + INCEPTION:
        return  # one of training
    if evaluator is None:
        raise UserError(f'training.keep_best={best} with evaluation.every=0: no evaluation would tell; set evaluation.every')
    if max(every, saved) % min(every, saved):
        raise UserError(
            f'training.keep_best={best}: checkpoints are compared by the evaluation of their own step, so '
            f'evaluation.every={every} has to be a divisor or multiple of training.checkpoint_every={saved}'
        )
    if name in HEATMAP and not all(hasattr(source, 'mask') for source in evaluator.sources.values()):
        raise UserError(
            f'training.keep_best={best} needs images that say where they have to change, data.source=synthetic:faces; '
            f'take one of {", ".join(ALWAYS + INCEPTION)}'
        )
    if name in INCEPTION and evaluator.extractor is None:
        file = weights.INCEPTION
        raise UserError(
            f'training.keep_best={best} needs the weights of InceptionV3: put {file.name} (sha256 {file.sha256}) from '
            f'{file.urls[0]} at {weights.cached_path()}, or name another file by evaluation.inception_weights'
        )


def checksum(images: np.ndarray | list[np.ndarray]) -> str:
    """sha256 over shapes and pixels of images in their order."""
    digest = hashlib.sha256()
    for pixels in images:
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()
