"""The metrics of an evaluation: their names, their values, and how they are shown."""

from typing import NamedTuple

import numpy as np

from ugatit_jax.models.names import DIRECTIONS

IMAGE_METRICS = ('domain_accuracy', 'cycle_l1', 'cycle_psnr', 'identity_l1', 'identity_psnr')  # need nothing but images
MASK_METRICS = ('outside_l1', 'pointing_accuracy', 'heatmap_inside', 'heatmap_iou')  # need masks of what has to change
INCEPTION_METRICS = ('kid', 'fid', 'precision', 'recall')  # need the weights of InceptionV3
EFFNET_METRICS = ('kid_effnet', 'truth_perceptual')  # need the weights of EfficientNet-Lite0
TRUTH_METRICS = ('truth_l1', 'truth_l1_share', 'truth_psnr', 'truth_ssim', 'truth_perceptual')  # need true pairs


class MetricValue(NamedTuple):
    """A metric and its spread: a standard deviation or standard error, as the protocol says; None where there is none."""

    value: float
    spread: float | None = None


class Format(NamedTuple):
    """How a metric is shown."""

    title: str
    factor: float
    digits: int
    meaning: str


METRICS = {  # in the order in which they are shown
    'kid': Format('KID x 100', 100, 3, 'outputs to real target; lower is better, may be below 0'),
    'kid_source': Format('KID x 100 to the source', 100, 3, 'outputs to the images they were made from'),
    'kid_mean': Format('KID x 100, equal mean', 100, 3, 'of the two above; very probably what the paper prints'),
    'kid_mean_old': Format('KID x 100, 0.02/0.98 mean', 100, 3, "as in an older version of the authors' tool"),
    'kid_baseline': Format('KID x 100, baseline', 100, 3, 'real source to real target: what copying the input would score'),
    'fid': Format('FID', 1, 2, 'outputs to real target; lower is better'),
    'fid_baseline': Format('FID, baseline', 1, 2, 'real source to real target'),
    'precision': Format('precision', 1, 3, "outputs inside the manifold of the target's images; higher is better"),
    'recall': Format('recall', 1, 3, "the target's images inside the outputs' manifold; higher is better"),
    'kid_effnet': Format(
        'KID x 100, EfficientNet-Lite0', 100, 3, 'outputs to real target; no Inception KID, compare it with itself'
    ),
    'kid_effnet_source': Format('the same to the source', 100, 3, 'outputs to the images they were made from'),
    'kid_effnet_baseline': Format('the same, baseline', 100, 3, 'real source to real target'),
    'truth_l1': Format('truth L1', 1, 4, 'outputs to the true images, values in [-1, 1]; lower is better'),
    'truth_l1_share': Format('truth L1 / input', 1, 3, "share of the input's; 1 is what copying the input scores"),
    'truth_l1_input': Format('truth L1, input', 1, 4, 'baseline: the input itself'),
    'truth_l1_colour': Format('truth L1, colour match', 1, 4, 'baseline: mean and deviation of each channel matched'),
    'truth_psnr': Format('truth PSNR (dB)', 1, 2, 'outputs to the true images; higher is better'),
    'truth_psnr_input': Format('truth PSNR (dB), input', 1, 2, 'baseline: the input itself'),
    'truth_psnr_colour': Format('truth PSNR (dB), colour match', 1, 2, 'baseline: the colour match'),
    'truth_ssim': Format('truth SSIM', 1, 4, 'outputs to the true images; 1 is equal'),
    'truth_ssim_input': Format('truth SSIM, input', 1, 4, 'baseline: the input itself'),
    'truth_ssim_colour': Format('truth SSIM, colour match', 1, 4, 'baseline: the colour match'),
    'truth_perceptual': Format(
        'truth perceptual distance', 1, 4, 'as LPIPS, but of EfficientNet-Lite0 and unweighted: not LPIPS; lower is better'
    ),
    'truth_perceptual_input': Format('truth perceptual, input', 1, 4, 'baseline: the input itself'),
    'truth_perceptual_colour': Format('truth perceptual, colour match', 1, 4, 'baseline: the colour match'),
    'domain_accuracy': Format('domain accuracy', 1, 3, 'outputs that a small classifier takes for the target'),
    'domain_accuracy_real': Format('classifier on real images', 1, 3, 'its accuracy on the real images, both domains'),
    'cycle_l1': Format('cycle L1', 1, 4, 'there and back, values in [-1, 1]'),
    'cycle_psnr': Format('cycle PSNR (dB)', 1, 2, 'there and back'),
    'identity_l1': Format('identity L1', 1, 4, "the generator on its target's images, values in [-1, 1]"),
    'identity_psnr': Format('identity PSNR (dB)', 1, 2, "the generator on its target's images"),
    'outside_l1': Format(
        'change outside', 1, 4, 'outputs to inputs where nothing has to change, values in [-1, 1]; lower is better'
    ),
    'pointing_accuracy': Format('pointing accuracy', 1, 3, "the heatmap's maximum lies where the image has to change"),
    'heatmap_inside': Format('heat inside', 1, 3, 'share of the heat where the image has to change'),
    'heatmap_iou': Format('heatmap IoU', 1, 3, 'of the hottest pixels and as many that have to change'),
    'heatmap_chance': Format('the same by chance', 1, 3, 'share of the image that has to change'),
}


def metric_names() -> list[str]:
    """Names under which a training run may log evaluations: the mean of both directions, and each direction."""
    names = dict.fromkeys(IMAGE_METRICS + MASK_METRICS + INCEPTION_METRICS + EFFNET_METRICS + TRUTH_METRICS)
    return [f'{name}{suffix}' for name in names for suffix in ('', *(f'_{direction}' for direction in DIRECTIONS))]


def flatten_metrics(metrics: dict[str, dict[str, MetricValue]]) -> dict[str, float]:
    """Metrics by direction as one flat dict: {'kid': mean of both, 'kid_A2B': ..., 'kid_B2A': ..., ...}."""
    flat = {}
    for name in metrics['A2B']:
        values = {direction: metrics[direction][name].value for direction in DIRECTIONS}
        flat[name] = float(np.mean(list(values.values())))
        flat |= {f'{name}_{direction}': value for direction, value in values.items()}
    return flat


def format_number(name: str, value: float) -> str:
    """A value of metric `name` as it is printed: KID times 100, each with its own number of digits."""
    return f'{value * METRICS[name].factor:.{METRICS[name].digits}f}'


def format_metric(name: str, metric: MetricValue | None) -> str:
    """A metric as it is printed: '7.070 +- 0.650', '-' where there is none."""
    if metric is None:
        return '-'
    text = format_number(name, metric.value)
    return text if metric.spread is None else f'{text} +- {format_number(name, metric.spread)}'
