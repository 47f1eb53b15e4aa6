"""Images of a data set that seem to be of the other domain, by the classifier of domain accuracy, cross-fitted."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ugatit_jax.common.errors import listed, printable
from ugatit_jax.common.images import to_rgb
from ugatit_jax.common.progress import announced
from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.sources.open_source import Source
from ugatit_jax.evaluate.classifier import BATCH, MAX_TRAINING_IMAGES, RELIABLE, SIDE, train_classifier

FOLDS = 2  # each half is judged by a classifier of the other half: one would know the images that it was trained on
CERTAIN = 3.0  # log odds of the other domain from which on an image is named: 95 %
NAMED_AT_MOST = 10  # images of one domain
SEED = 0  # of the classifiers


class OtherDomain(NamedTuple):
    """What the classifiers found."""

    accuracy: float  # of classifiers on images that they were not trained on
    names: dict[str, list[str]]  # by domain, images that seem to be of the other one, the most certain first


def find_other_domain(images: dict[str, Sequence[tuple[str, np.ndarray]]]) -> OtherDomain:
    """Judges images, (name, uint8 [h, w, 3]) of 'A' and of 'B'."""
    odds = {domain: np.zeros(len(images[domain])) for domain in 'AB'}
    for fold in range(FOLDS):
        training = {}
        for domain in 'AB':
            others = [pixels for i, (_, pixels) in enumerate(images[domain]) if i % FOLDS != fold]
            training[domain] = [others[i] for i in evenly_spaced_indices(len(others), MAX_TRAINING_IMAGES)]
        classifier = train_classifier(training['A'], training['B'], SEED)
        for domain, other in ('AB', 'BA'):
            odds[domain][fold::FOLDS] = classifier.logits([pixels for _, pixels in images[domain][fold::FOLDS]], other)
    accuracy = float(np.mean([np.mean(odds[domain] < 0) for domain in 'AB']))
    names = {
        domain: [images[domain][i][0] for i in np.argsort(-odds[domain], kind='stable') if odds[domain][i] >= CERTAIN]
        for domain in 'AB'
    }
    return OtherDomain(accuracy, names)


def other_domain_warnings(sources: dict[str, Source], good: dict[str, list[int]]) -> list[str]:
    """Warnings about the images of splits like 'trainA'; good: indices of the readable ones of each.

    None below BATCH images of a domain, and none but its accuracy where the classifier is below RELIABLE.
    """
    images: dict[str, list[tuple[str, np.ndarray]]] = {'A': [], 'B': []}
    if min(sum(len(good[split]) for split in sources if split.endswith(domain)) for domain in 'AB') < BATCH:
        return []
    for split, source in sources.items():
        for i in good[split]:
            with contextlib.suppress(DecodeError):  # gone since the scan
                images[split[-1]].append((f'{split}/{source.keys[i]}', fit_square(to_rgb(source.read(i)), SIDE)))
    with announced('looking for images of the other domain', usually='usually one to two minutes on a CPU'):
        found = find_other_domain(images)
    if found.accuracy < RELIABLE:
        return [
            f'a small classifier tells A from B in only {found.accuracy:.1%} of the images: which of them are of the other '
            'domain cannot be said'
        ]
    warnings = []
    for domain, other in ('AB', 'BA'):
        names = found.names[domain]
        if names:
            n = f'{len(names)} {"image seems" if len(names) == 1 else "images seem"}'
            warnings.append(
                f'{n} to be of {other} and {"is" if len(names) == 1 else "are"} in {domain} (a small classifier, right on '
                f'{found.accuracy:.1%} of the images, is certain): look at {listed(names, NAMED_AT_MOST)}'
            )
    return [printable(warning) for warning in warnings]
