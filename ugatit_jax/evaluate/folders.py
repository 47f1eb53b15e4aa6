"""Evaluates the images of two folders, whatever model they are of."""

import logging
import os
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import is_remote
from ugatit_jax.common.progress import announced, track
from ugatit_jax.data.sources.open_source import Source
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import EffnetWeights, find_effnet
from ugatit_jax.evaluate.folder_accuracy import FolderAccuracy, folder_accuracy
from ugatit_jax.evaluate.folder_images import images_of, open_folder
from ugatit_jax.evaluate.folder_truth import FolderTruth, fitted, folder_truth, validate_truth
from ugatit_jax.evaluate.galleries import Row, gallery_indices
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import InceptionWeights, find_inception, load_weights
from ugatit_jax.evaluate.kid_fid import pairwise_distances
from ugatit_jax.evaluate.protocols import effnet_metrics, inception_metrics
from ugatit_jax.evaluate.results import (
    Results,
    checksum,
    inception_notes,
    make_output_folder,
    validate_output_folder,
    write_and_print,
)

logger = logging.getLogger(__name__)

DIRECTION = 'fake to real'  # the one direction of two folders, in tables and metrics.json


def evaluate_folders(
    fake: str,
    real: str,
    source: str | None = None,
    truth: str | None = None,
    features: str = 'available',
    inception_weights: str = '',
    output: str | None = None,
    protocol: str = 'fidelity',
) -> Results:
    """Evaluates the images of folder `fake` against those of `real`, and of `source` and `truth` where they are given.

    features: one of protocols.FEATURES; 'available' computes what there are weights for, the others raise UserError
    without theirs.
    source: the inputs, for baselines and domain accuracy. truth: the true image of each of `fake`, under the same name.
    Writes metrics.json and report.html into `output`, by default FAKE-evaluation, and prints the table. Images may be of any
    size. Raises UserError.
    """
    output = output or default_output(fake)
    given = {'fake': fake, 'target': real, 'source': source, 'truth': truth}
    sources = {role: open_folder(path) for role, path in given.items() if path is not None}
    if truth is not None:
        validate_truth(sources)
    validate_output_folder(output)  # before weights are downloaded
    weights, effnet_weights, notes = find_weights(features, inception_weights, truth is not None)
    if weights is None and effnet_weights is None and source is None and truth is None:
        raise UserError(
            f'nothing can be computed from --fake and --real without weights ({"; ".join(notes)}): add --source or --truth'
        )
    make_output_folder(output)

    mesh = sharding.make_mesh(jax.device_count())
    effnet = None if effnet_weights is None else EffnetExtractor(effnet_weights, mesh)
    checksums = {}
    for role, images in sources.items():
        logger.info('%s: %d images', role, len(images))
        checksums[role] = checksum(images_of(images))
    counts = {DIRECTION: {role: len(images) for role, images in sources.items()}}
    compared_folders = {role: images for role, images in sources.items() if role != 'truth'}

    def features_by_role(network: str, extract: Callable[..., np.ndarray], *arguments: str) -> dict[str, np.ndarray]:
        with announced(f'{network} features', counts, jax.devices()[0].device_kind):
            return {
                role: extract(track(images_of(images), f'{network} on {role}', len(images)), *arguments)
                for role, images in compared_folders.items()
            }

    metrics, compared, network = {}, {}, ''  # compared: the features by which images are ranked, of this network
    if weights is not None:
        compared, network = features_by_role('Inception', FeatureExtractor(weights, mesh), protocol), 'Inception'
        metrics |= inception_metrics(compared['fake'], compared['target'], compared.get('source'), protocol)
    if effnet is not None and features != 'inception':
        found = features_by_role('EfficientNet-Lite0', effnet)
        metrics |= effnet_metrics(found['fake'], found['target'], found.get('source'), protocol)
        if not compared:
            compared, network = found, 'EfficientNet-Lite0'
    true = folder_truth(sources, effnet) if truth is not None else None
    accuracy = None
    if source is not None:
        with announced('domain accuracy', counts, usually='seconds'):
            accuracy = folder_accuracy(sources)
    for part in (true, accuracy):
        if part is not None:
            metrics |= part.metrics
            notes += part.notes
    galleries, ranking = make_galleries(sources, compared, network, true, accuracy)
    results = Results(
        title=f'Evaluation of {os.path.basename(whole_path(fake))}',
        about={{'target': 'real'}.get(role, role): path for role, path in given.items() if path is not None},
        protocol=protocol,
        weights=weights,
        effnet=effnet_weights,
        counts=counts,
        checksums=checksums,
        metrics={DIRECTION: metrics},
        notes=inception_notes(weights, counts) + notes,
        galleries=galleries,
        ranking=ranking,
    )
    return write_and_print(results, output)


def whole_path(folder: str) -> str:
    """A folder's path, which ends with its name, also where it is '.'; a URL as it is."""
    return folder.rstrip('/') if is_remote(folder) else os.path.abspath(folder)


def default_output(fake: str) -> str:
    """FAKE-evaluation, beside the folder."""
    named = os.path.basename(fake.rstrip('/')) not in ('', os.curdir, os.pardir)
    return f'{fake.rstrip("/") if named else whole_path(fake)}-evaluation'


def find_weights(
    features: str, inception_weights: str, has_truth: bool
) -> tuple[InceptionWeights | None, EffnetWeights | None, list[str]]:
    """The weights of InceptionV3 and of EfficientNet-Lite0 as --features says, and why some are missing; raises UserError.

    With a truth those of EfficientNet-Lite0 also for 'inception', where they are installed: for the perceptual distance.
    """
    required = {'available': (), 'both': ('inception', 'effnet')}.get(features, (features,))
    notes, weights = [], None
    if 'inception' in required:
        if inception_weights == 'none':
            raise UserError(f'--features={features} needs the weights that --inception_weights=none leaves out')
        weights = load_weights(inception_weights)
    elif features == 'available':
        weights, reason = find_inception(inception_weights)
        notes += [reason] if reason else []
    effnet_weights = None
    if features != 'inception' or has_truth:
        effnet_weights, reason = find_effnet(True if 'effnet' in required else None)
        notes += [reason] if reason else []
    return weights, effnet_weights, notes


def make_galleries(
    sources: dict[str, Source],
    features: dict[str, np.ndarray],
    network: str,
    true: FolderTruth | None,
    accuracy: FolderAccuracy | None,
) -> tuple[dict[str, list[Row]], str]:
    """Examples, the best and the worst outputs, beside the nearest real image, the true one, and the input of that name.

    Also what they are ranked by: features where there are some, else the true images, else the classifier.
    """
    captions, nearest = [[key] for key in sources['fake'].keys], None
    if features:
        distances = pairwise_distances(features['fake'], features['target'])
        nearest, score = distances.argmin(axis=1), distances.min(axis=1)
        ranking = f"by the distance of the output's {network} features to those of the nearest real image"
        append(captions, 'distance {:.2f}', score)
    if true is not None:
        append(captions, 'truth L1 {:.3f}', true.l1)
    if accuracy is not None:
        append(captions, 'log odds {:+.1f}', accuracy.logits)
    if not features:
        score = true.l1 if true is not None else -accuracy.logits
        ranking = 'by L1 to the true image' if true is not None else 'by the log odds that the output is a real image'
    inputs = {}
    if 'source' in sources:
        by_name = {pathlib.Path(key).stem: i for i, key in enumerate(sources['source'].keys)}
        inputs = {i: by_name.get(pathlib.Path(key).stem) for i, key in enumerate(sources['fake'].keys)}
        inputs = {} if None in inputs.values() else inputs

    def row(i: int) -> Row:
        images = {'input': sources['source'].read(inputs[i])} if inputs else {}
        images['output'] = sources['fake'].read(i)
        if true is not None:  # as it was compared
            images['truth'] = fitted(sources['truth'].read(true.indices[i]), images['output'])
        if nearest is not None:
            images['nearest real'] = sources['target'].read(nearest[i])
        return Row(images, ', '.join(captions[i]))

    chosen = gallery_indices(np.argsort(score, kind='stable'))
    return {heading.capitalize(): [row(i) for i in indices] for heading, indices in chosen.items()}, ranking


def append(captions: list[list[str]], text: str, values: np.ndarray) -> None:
    """Appends each image's value, formatted by `text`, to its caption."""
    for caption, value in zip(captions, values, strict=True):
        caption.append(text.format(value))
