"""Evaluates images of two folders, whoever made them."""

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
from ugatit_jax.data.sources.open_source import Selected, Source, spread_out
from ugatit_jax.errors import UserError, printable
from ugatit_jax.evaluate import kid_fid, protocols
from ugatit_jax.evaluate.evaluator import checksum
from ugatit_jax.evaluate.inception_features import Extractor
from ugatit_jax.evaluate.results import Results, Row, check_output, finish, weight_notes
from ugatit_jax.evaluate.weights import load_weights

logger = logging.getLogger(__name__)

SHOWN = 6  # rows of examples
RANKED = 4  # rows of best and of worst
BAD_FRACTION = 0.01  # of unreadable files in a folder that are left out
EXTRAS = ('.heatmap', '.strip')  # what translate.py puts between a name and its end


def evaluate_folders(
    fake: str,
    real: str,
    source: str | None = None,
    inception_weights: str = '',
    output: str | None = None,
    protocol: str = 'fidelity',
) -> Results:
    """Evaluates the images of folder `fake` against those of `real`, and of `source` where it is given.

    Writes metrics.json and report.html into `output`, the folder of `fake` with -evaluation behind its name by default,
    and prints the table. Images are taken as they lie there, of any size. Raises UserError.
    """
    output = output or f'{fake.rstrip("/")}-evaluation'
    sources = {'fake': open_folder(fake), 'target': open_folder(real)}
    if source is not None:
        sources['source'] = open_folder(source)
    weights = load_weights(inception_weights)
    check_output(output)
    extractor = Extractor(weights, sharding.make_mesh(jax.device_count()))
    features, checksums = {}, {}
    for role, images in sources.items():
        logger.info('%s: %d images', role, len(images))
        features[role] = extractor((images.read(i) for i in range(len(images))), protocol)
        checksums[role] = checksum(images.read(i) for i in range(len(images)))
    counts = {'fake to real': {role: len(images) for role, images in sources.items()}}
    results = Results(
        title=f'Evaluation of {pathlib.Path(fake).name}',
        about={'fake': fake, 'real': real} | ({} if source is None else {'source': source}),
        protocol=protocol,
        weights=weights,
        counts=counts,
        checksums=checksums,
        metrics={'fake to real': protocols.compare(features['fake'], features['target'], features.get('source'), protocol)},
        notes=weight_notes(weights, counts),
        galleries=folder_galleries(sources, features),
        ranking="by the distance of the output's Inception features to those of the nearest real image",
    )
    return finish(results, output)


def open_folder(path: str) -> Source:
    """The readable images of a folder, two or more, without what ugatit_jax.translate adds to them; raises UserError."""
    if not epath.Path(path).is_dir():
        raise UserError(f'{path}: no such folder; name one with images in it')
    source: Any = FolderSource(path, channels=3)
    report = scan.scan(source)
    scan.validate_bad_fraction(report, BAD_FRACTION, 'the share that is left out', '')
    extras = heatmaps_and_strips(source.keys)
    if extras:
        logger.info('%s: left out %d heatmaps and strips beside the images', printable(path), len(extras))
    source = Selected(source, [i for i in report.good if source.keys[i] not in extras])
    if len(source) < 2:
        raise UserError(f'{path} has {len(source)} image; an evaluation needs 2 or more')
    return source


def heatmaps_and_strips(keys: list[str]) -> set[str]:
    """Those of `keys` that ugatit_jax.translate wrote beside outputs: NAME.heatmap.png where there is a NAME.png."""
    there, found = set(keys), set()
    for key in keys:
        stem, end = os.path.splitext(key)
        name, kind = os.path.splitext(stem)
        if kind in EXTRAS and name + end in there:
            found.add(key)
    return found


def folder_galleries(sources: dict[str, Source], features: dict[str, np.ndarray]) -> dict[str, list[Row]]:
    """Examples, the best and the worst outputs beside the nearest real image, and the input where names tell it."""
    between = kid_fid.distances(features['fake'], features['target'])
    nearest, distance = between.argmin(axis=1), between.min(axis=1)
    order = np.argsort(distance, kind='stable')
    inputs = {}
    if 'source' in sources:
        by_name = {pathlib.Path(key).stem: i for i, key in enumerate(sources['source'].keys)}
        inputs = {i: by_name.get(pathlib.Path(key).stem) for i, key in enumerate(sources['fake'].keys)}
        inputs = {} if None in inputs.values() else inputs

    def row(i: int) -> Row:
        images = {'input': sources['source'].read(inputs[i])} if inputs else {}
        images |= {'output': sources['fake'].read(i), 'nearest real': sources['target'].read(nearest[i])}
        return Row(images, f'{sources["fake"].keys[i]}, distance {distance[i]:.2f}')

    ranked = min(RANKED, len(order) // 2)
    chosen = {'Examples': spread_out(len(order), SHOWN), 'Best': order[:ranked], 'Worst': order[::-1][:ranked]}
    return {name: [row(int(i)) for i in indices] for name, indices in chosen.items()}
