"""Truth metrics: outputs against the true images, where those are known, beside baselines that anyone could make."""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from ugatit_jax.common.images import normalize
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.image_errors import SSIM_WINDOW, l1, psnr, ssim, tensorflow
from ugatit_jax.evaluate.metrics import MetricValue

CHUNK = 64  # pairs in memory at a time: 50 MB at 256 pixels
NO_SSIM = f'no SSIM: it needs TensorFlow, and images of {SSIM_WINDOW} pixels or more'


def compare(
    images: Iterable[np.ndarray], truths: Iterable[np.ndarray], effnet: EffnetExtractor | None
) -> dict[str, np.ndarray]:
    """Metrics of each pair of images, uint8 [h, w, 3] of equal size: float64 [n] by 'l1', 'psnr', 'ssim', 'perceptual'.

    L1 and PSNR of values in [-1, 1]. No 'ssim' where NO_SSIM applies to any pair, no 'perceptual' without an extractor.
    """
    pairs, chunks = zip(images, truths, strict=True), []
    while chunk := list(itertools.islice(pairs, CHUNK)):
        chunks.append(compare_chunk(*zip(*chunk, strict=True), effnet))
    names = [name for name in chunks[0] if all(name in found for found in chunks)]
    return {name: np.concatenate([found[name] for found in chunks]) for name in names}


def compare_chunk(
    images: Sequence[np.ndarray], truths: Sequence[np.ndarray], effnet: EffnetExtractor | None
) -> dict[str, np.ndarray]:
    """`compare` for images that are in memory."""
    scaled = [(normalize(image)[None], normalize(truth)[None]) for image, truth in zip(images, truths, strict=True)]
    found = {
        'l1': np.concatenate([l1(image, truth) for image, truth in scaled]),
        'psnr': np.concatenate([psnr(image, truth) for image, truth in scaled]),
    }
    if can_compute_ssim(min(min(image.shape[:2]) for image in images)):
        found['ssim'] = np.concatenate([ssim(image[None], truth[None]) for image, truth in zip(images, truths)])
    if effnet is not None:
        found['perceptual'] = effnet.distances(images, truths).astype(np.float64)
    return found


def can_compute_ssim(shortest_side: int) -> bool:
    """Whether there is an SSIM of images whose shortest side has so many pixels."""
    return shortest_side >= SSIM_WINDOW and tensorflow() is not None


def truth_metrics(outputs: dict[str, np.ndarray], baselines: dict[str, dict[str, np.ndarray]]) -> dict[str, MetricValue]:
    """Means of what `compare` found for the outputs, and for each baseline, 'input' or 'colour', by its name.

    {'truth_l1': ..., 'truth_l1_input': ..., 'truth_l1_colour': ..., 'truth_psnr': ...}, and 'truth_l1_share', the outputs'
    L1 over the input's: 1 is what copying the input scores. It is left out where the input is the true image.
    """
    metrics = {}
    for name, values in outputs.items():
        metrics[f'truth_{name}'] = mean(values)
        metrics |= {f'truth_{name}_{baseline}': mean(found[name]) for baseline, found in baselines.items()}
    if 'input' in baselines and metrics['truth_l1_input'].value > 0:
        metrics['truth_l1_share'] = MetricValue(metrics['truth_l1'].value / metrics['truth_l1_input'].value)
    return metrics


def mean(values: np.ndarray) -> MetricValue:
    """The mean of values [n]."""
    return MetricValue(float(values.mean()))
