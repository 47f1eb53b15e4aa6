"""training.keep_best has to name a metric that every checkpoint will have."""

import difflib
from collections.abc import Collection

from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate.effnet_weights import HINT
from ugatit_jax.evaluate.evaluator import Evaluator
from ugatit_jax.evaluate.inception_weights import PUBLISHED, cached_path
from ugatit_jax.evaluate.metrics import (
    EFFNET_METRICS,
    IMAGE_METRICS,
    INCEPTION_METRICS,
    MASK_METRICS,
    TRUTH_METRICS,
    metric_names,
)
from ugatit_jax.evaluate.truth import NO_SSIM
from ugatit_jax.models.names import DIRECTIONS


def validate_keep_best(config: ConfigDict, step_metrics: Collection[str], evaluator: Evaluator | None) -> None:
    """Raises UserError unless training.keep_best is a metric of the train step, or of evaluations that reach checkpoints.

    step_metrics: names of the train step's metrics. evaluator: the training run's, None where evaluation.every is 0.
    """
    validate_best_name(config, step_metrics)
    best = config.training.keep_best
    name = best.removeprefix('-')
    if not best or name in step_metrics:
        return
    for direction in DIRECTIONS:
        name = name.removesuffix(f'_{direction}')
    if name in MASK_METRICS and not evaluator.has_masks:
        raise UserError(
            f'training.keep_best={best} needs images with masks of what has to change, data.source=synthetic:faces; '
            f'choose one of {", ".join(IMAGE_METRICS + INCEPTION_METRICS)}'
        )
    if name in INCEPTION_METRICS and evaluator.extractor is None:
        raise UserError(
            f'training.keep_best={best} needs the weights of InceptionV3: put {PUBLISHED.name} (sha256 {PUBLISHED.sha256}) '
            f'from {PUBLISHED.urls[0]} at {cached_path()}, or name another file by evaluation.inception_weights'
        )
    if name in TRUTH_METRICS and evaluator.paired is None:
        raise UserError(
            f'training.keep_best={best} needs true pairs: test images of A and B with the same names, as data.source=emoji '
            f'has (and data.paired_test not False); choose one of {", ".join(IMAGE_METRICS)}'
        )
    if name == 'truth_ssim' and not evaluator.paired.has_ssim:
        raise UserError(f'training.keep_best={best} does not work, {NO_SSIM}; choose one of truth_l1, truth_psnr')
    if name in EFFNET_METRICS and evaluator.effnet is None:
        raise UserError(
            f'training.keep_best={best} needs the weights of EfficientNet-Lite0: {HINT}, and leave evaluation.effnet unset'
        )


def validate_best_name(config: ConfigDict, step_metrics: Collection[str]) -> None:
    """Raises UserError for what `validate_keep_best` refuses whatever the data and the evaluator are."""
    best, every, saved = config.training.keep_best, config.evaluation.every, config.training.checkpoint_every
    name, known = best.removeprefix('-'), [*step_metrics, *metric_names()]
    if not best or name in step_metrics:
        return
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0) or known[:3]
        raise UserError(
            f'config: training.keep_best={best!r} does not work; it has to be a metric of metrics.jsonl or of evaluations, '
            f'such as {", ".join(near)}, with - in front where the largest is best'
        )
    if not every:
        raise UserError(
            f'training.keep_best={best} with evaluation.every=0: without evaluations there is no such metric; set '
            'evaluation.every'
        )
    if max(every, saved) % min(every, saved):
        raise UserError(
            f'training.keep_best={best}: checkpoints are compared by the evaluation of their own step, so '
            f'evaluation.every={every} has to be a divisor or multiple of training.checkpoint_every={saved}'
        )
