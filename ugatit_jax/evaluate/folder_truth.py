"""Truth metrics of folders: each output against the true image of its name."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ugatit_jax.data.preprocess import resize
from ugatit_jax.data.sources.open_source import Source
from ugatit_jax.evaluate.colour_match import MAX_IMAGES, colour_statistics, match_colours
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.folder_images import images_of
from ugatit_jax.evaluate.metrics import MetricValue
from ugatit_jax.evaluate.pairs import pair_by_name, require_pairs
from ugatit_jax.evaluate.truth import NO_SSIM, compare, truth_metrics

COLOUR_NOTE = 'truth metrics: the colour match was fitted on the images of --source and --real'
NO_BASELINES = 'truth metrics without baselines: these need --source with the names of --fake'


class FolderTruth(NamedTuple):
    """The truth metrics of a folder of outputs."""

    metrics: dict[str, MetricValue]
    l1: np.ndarray  # [n], of each output
    indices: list[int]  # of each output's true image
    notes: list[str]


def validate_truth(sources: dict[str, Source]) -> None:
    """Raises UserError unless the images of --truth have the names of those of --fake."""
    require_pairs(sources['fake'].keys, sources['truth'].keys, '--truth', ('the images of --fake', 'those of --truth'))


def folder_truth(sources: dict[str, Source], effnet: EffnetExtractor | None) -> FolderTruth:
    """The truth metrics of 'fake' against 'truth'; with a 'source' of the same names also the baselines.

    True images and inputs are resized to the size of their output. The colour match is fitted on 'source' and 'target'.
    """
    fake, truth, source, target = (sources.get(role) for role in ('fake', 'truth', 'source', 'target'))
    indices = pair_by_name(fake.keys, truth.keys)
    outputs = compare(images_of(fake), fitted_images(truth, indices, fake), effnet)
    baselines, notes = {}, [] if 'ssim' in outputs else [NO_SSIM]
    inputs = None if source is None else pair_by_name(fake.keys, source.keys)
    if inputs is None:
        notes.append(NO_BASELINES)
    else:
        from_statistics, to_statistics = (
            colour_statistics(role.read(i) for i in range(min(len(role), MAX_IMAGES))) for role in (source, target)
        )
        matched = (match_colours(pixels, from_statistics, to_statistics) for pixels in fitted_images(source, inputs, fake))
        baselines['input'] = compare(fitted_images(source, inputs, fake), fitted_images(truth, indices, fake), effnet)
        baselines['colour'] = compare(matched, fitted_images(truth, indices, fake), effnet)
        notes.append(COLOUR_NOTE)
    return FolderTruth(truth_metrics(outputs, baselines), outputs['l1'], indices, notes)


def fitted_images(source: Source, indices: list[int], fake: Source) -> Iterator[np.ndarray]:
    """Images `indices` of a source, the i-th resized to the size of output i, uint8 [h, w, 3]."""
    for i, index in enumerate(indices):
        yield fitted(source.read(index), fake.read(i))


def fitted(pixels: np.ndarray, output: np.ndarray) -> np.ndarray:
    """An image resized to the size of an output, uint8 [h, w, 3]."""
    height, width = output.shape[:2]
    return resize(pixels, width, height)
