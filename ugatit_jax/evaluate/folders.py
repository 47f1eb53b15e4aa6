"""Evaluates the images of two folders, whatever model they are of."""

import logging
import os
import pathlib
from typing import Any

import jax
import numpy as np
from etils import epath

from ugatit_jax import sharding
from ugatit_jax.data import scan
from ugatit_jax.data.sources.folder import FolderSource
from ugatit_jax.data.sources.open_source import Selected, Source
from ugatit_jax.errors import UserError, printable
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import find_effnet
from ugatit_jax.evaluate.folder_truth import FolderTruth, folder_truth, images_of, validate_truth
from ugatit_jax.evaluate.galleries import Row, gallery_indices
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import load_weights
from ugatit_jax.evaluate.kid_fid import pairwise_distances
from ugatit_jax.evaluate.protocols import effnet_metrics, inception_metrics
from ugatit_jax.evaluate.results import Results, checksum, inception_notes, make_output_folder, write_and_print

logger = logging.getLogger(__name__)

EXTRA_SUFFIXES = ('.heatmap', '.strip')  # of what ugatit_jax.translate writes beside an output, NAME.heatmap.png
FEATURES = ('inception', 'effnet', 'both')  # whose features KID is of
DIRECTION = 'fake to real'  # the one direction of two folders, in tables and metrics.json


def evaluate_folders(
    fake: str,
    real: str,
    source: str | None = None,
    truth: str | None = None,
    features: str = 'inception',
    inception_weights: str = '',
    output: str | None = None,
    protocol: str = 'fidelity',
) -> Results:
    """Evaluates the images of folder `fake` against those of `real`, and of `source` and `truth` where they are given.

    features: one of FEATURES. truth: the true image of each of `fake`, under the same name. Writes metrics.json and
    report.html into `output`, by default FAKE-evaluation, and prints the table. Images may be of any size. Raises UserError.
    """
    output = output or f'{fake.rstrip("/")}-evaluation'
    given = {'fake': fake, 'target': real, 'source': source, 'truth': truth}
    sources = {role: open_folder(path) for role, path in given.items() if path is not None}
    if truth is not None:
        validate_truth(sources)
    weights = load_weights(inception_weights) if features != 'effnet' else None
    effnet_weights, notes = None, []
    if features != 'inception' or truth is not None:
        effnet_weights, reason = find_effnet(True if features != 'inception' else None)
        notes += [reason] if reason else []
    make_output_folder(output)

    mesh = sharding.make_mesh(jax.device_count())
    effnet = None if effnet_weights is None else EffnetExtractor(effnet_weights, mesh)
    checksums = {}
    for role, images in sources.items():
        logger.info('%s: %d images', role, len(images))
        checksums[role] = checksum(images_of(images))
    counts = {DIRECTION: {role: len(images) for role, images in sources.items()}}
    metrics, compared = {}, {}  # compared: the features by which images are ranked
    if weights is not None:
        extractor = FeatureExtractor(weights, mesh)
        found = {role: extractor(images_of(images), protocol) for role, images in sources.items() if role != 'truth'}
        metrics |= inception_metrics(found['fake'], found['target'], found.get('source'), protocol)
        compared = found
    if features != 'inception':
        found = {role: effnet(images_of(images)) for role, images in sources.items() if role != 'truth'}
        metrics |= effnet_metrics(found['fake'], found['target'], found.get('source'), protocol)
        compared = compared or found
    true = folder_truth(sources, effnet) if truth is not None else None
    if true is not None:
        metrics |= true.metrics
        notes += true.notes
    results = Results(
        title=f'Evaluation of {pathlib.Path(fake).name}',
        about={{'target': 'real'}.get(role, role): path for role, path in given.items() if path is not None},
        protocol=protocol,
        weights=weights,
        effnet=effnet_weights,
        counts=counts,
        checksums=checksums,
        metrics={DIRECTION: metrics},
        notes=inception_notes(weights, counts) + notes,
        galleries=make_galleries(sources, compared, true),
        ranking=f"by the distance of the output's {'EfficientNet-Lite0' if weights is None else 'Inception'} features to "
        'those of the nearest real image',
    )
    return write_and_print(results, output)


def open_folder(path: str) -> Source:
    """The readable images of a folder but for heatmaps and strips of ugatit_jax.translate; raises UserError below two."""
    if not epath.Path(path).is_dir():
        raise UserError(f'{path}: no such folder; name one with images in it')
    source: Any = FolderSource(path, channels=3, plain=True)  # as the tools that the protocols are of
    report = scan.scan(source)
    scan.validate_bad_fraction(report, scan.MAX_BAD_FRACTION, option=None)
    extras = heatmaps_and_strips(source.keys)
    if extras:
        logger.info('%s: left out %d heatmaps and strips beside the images', printable(path), len(extras))
    source = Selected(source, [i for i in report.good if source.keys[i] not in extras])
    if len(source) < 2:
        raise UserError(f'{path} has {len(source)} image; an evaluation needs 2 or more')
    return source


def heatmaps_and_strips(keys: list[str]) -> set[str]:
    """Those of `keys` that ugatit_jax.translate wrote beside outputs: NAME.heatmap.png where there is a NAME.png."""
    existing, found = set(keys), set()
    for key in keys:
        stem, extension = os.path.splitext(key)
        name, suffix = os.path.splitext(stem)
        if suffix in EXTRA_SUFFIXES and name + extension in existing:
            found.add(key)
    return found


def make_galleries(
    sources: dict[str, Source], features: dict[str, np.ndarray], true: FolderTruth | None
) -> dict[str, list[Row]]:
    """Examples, the best and the worst outputs, beside the nearest real image, the true one, and the input of that name."""
    distances = pairwise_distances(features['fake'], features['target'])
    nearest, distance = distances.argmin(axis=1), distances.min(axis=1)
    inputs = {}
    if 'source' in sources:
        by_name = {pathlib.Path(key).stem: i for i, key in enumerate(sources['source'].keys)}
        inputs = {i: by_name.get(pathlib.Path(key).stem) for i, key in enumerate(sources['fake'].keys)}
        inputs = {} if None in inputs.values() else inputs

    def row(i: int) -> Row:
        images = {'input': sources['source'].read(inputs[i])} if inputs else {}
        images['output'] = sources['fake'].read(i)
        caption = f'{sources["fake"].keys[i]}, distance {distance[i]:.2f}'
        if true is not None:
            images['truth'] = sources['truth'].read(true.indices[i])
            caption += f', truth L1 {true.l1[i]:.3f}'
        images['nearest real'] = sources['target'].read(nearest[i])
        return Row(images, caption)

    chosen = gallery_indices(np.argsort(distance, kind='stable'))
    return {heading.capitalize(): [row(i) for i in indices] for heading, indices in chosen.items()}
