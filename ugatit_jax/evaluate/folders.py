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
from ugatit_jax.evaluate.galleries import Row, gallery_indices
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import load_weights
from ugatit_jax.evaluate.kid_fid import pairwise_distances
from ugatit_jax.evaluate.protocols import inception_metrics
from ugatit_jax.evaluate.results import Results, checksum, inception_notes, make_output_folder, write_and_print

logger = logging.getLogger(__name__)

EXTRA_SUFFIXES = ('.heatmap', '.strip')  # of what ugatit_jax.translate writes beside an output, NAME.heatmap.png
DIRECTION = 'fake to real'  # the one direction of two folders, in tables and metrics.json


def evaluate_folders(
    fake: str,
    real: str,
    source: str | None = None,
    inception_weights: str = '',
    output: str | None = None,
    protocol: str = 'fidelity',
) -> Results:
    """Evaluates the images of folder `fake` against those of `real`, and of `source` where it is given.

    Writes metrics.json and report.html into `output`, by default FAKE-evaluation, and prints the table. Images may be of any
    size. Raises UserError.
    """
    output = output or f'{fake.rstrip("/")}-evaluation'
    sources = {'fake': open_folder(fake), 'target': open_folder(real)}
    if source is not None:
        sources['source'] = open_folder(source)
    weights = load_weights(inception_weights)
    make_output_folder(output)
    extractor = FeatureExtractor(weights, sharding.make_mesh(jax.device_count()))
    features, checksums = {}, {}
    for role, images in sources.items():
        logger.info('%s: %d images', role, len(images))
        features[role] = extractor((images.read(i) for i in range(len(images))), protocol)
        checksums[role] = checksum(images.read(i) for i in range(len(images)))
    counts = {DIRECTION: {role: len(images) for role, images in sources.items()}}
    metrics = inception_metrics(features['fake'], features['target'], features.get('source'), protocol)
    results = Results(
        title=f'Evaluation of {pathlib.Path(fake).name}',
        about={'fake': fake, 'real': real} | ({} if source is None else {'source': source}),
        protocol=protocol,
        weights=weights,
        counts=counts,
        checksums=checksums,
        metrics={DIRECTION: metrics},
        notes=inception_notes(weights, counts),
        galleries=make_galleries(sources, features),
        ranking="by the distance of the output's Inception features to those of the nearest real image",
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


def make_galleries(sources: dict[str, Source], features: dict[str, np.ndarray]) -> dict[str, list[Row]]:
    """Examples, the best and the worst outputs, beside the nearest real image, and beside the input where names match."""
    distances = pairwise_distances(features['fake'], features['target'])
    nearest, distance = distances.argmin(axis=1), distances.min(axis=1)
    inputs = {}
    if 'source' in sources:
        by_name = {pathlib.Path(key).stem: i for i, key in enumerate(sources['source'].keys)}
        inputs = {i: by_name.get(pathlib.Path(key).stem) for i, key in enumerate(sources['fake'].keys)}
        inputs = {} if None in inputs.values() else inputs

    def row(i: int) -> Row:
        images = {'input': sources['source'].read(inputs[i])} if inputs else {}
        images |= {'output': sources['fake'].read(i), 'nearest real': sources['target'].read(nearest[i])}
        return Row(images, f'{sources["fake"].keys[i]}, distance {distance[i]:.2f}')

    chosen = gallery_indices(np.argsort(distance, kind='stable'))
    return {heading.capitalize(): [row(i) for i in indices] for heading, indices in chosen.items()}
