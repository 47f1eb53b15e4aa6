"""Domain accuracy of a folder of outputs, by a classifier of --source against --real."""

from typing import NamedTuple

import numpy as np

from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.data.sources.open_source import Selected, Source
from ugatit_jax.evaluate.classifier import MAX_TRAINING_IMAGES, mean_accuracy, reliability_notes, train_classifier
from ugatit_jax.evaluate.folder_images import images_of
from ugatit_jax.evaluate.metrics import MetricValue

SEED = 0  # of the classifier
NOTE = 'domain accuracy: the classifier was trained on every other image of --source and --real and tested on the rest'


class FolderAccuracy(NamedTuple):
    """The domain accuracy of a folder of outputs."""

    metrics: dict[str, MetricValue]
    logits: np.ndarray  # [n], log odds that an output is of the domain of --real
    notes: list[str]


def folder_accuracy(sources: dict[str, Source]) -> FolderAccuracy:
    """Domain accuracy of 'fake' as images of 'target', trained on one half of 'source' and 'target', tested on the other.

    There are no training images here, and a classifier is right for the images that it was trained on.
    """
    training, test = {}, {}
    for domain, role in (('A', 'source'), ('B', 'target')):
        images, n = sources[role], len(sources[role])
        half = Selected(images, range(0, n, 2))
        training[domain] = images_of(Selected(half, evenly_spaced_indices(len(half), MAX_TRAINING_IMAGES)))
        test[domain] = images_of(Selected(images, range(1, n, 2)))
    classifier = train_classifier(training['A'], training['B'], SEED)
    accuracy = mean_accuracy(classifier, test)
    logits = classifier.logits(images_of(sources['fake']), 'B')
    metrics = {'domain_accuracy': float(np.mean(logits > 0)), 'domain_accuracy_real': accuracy}
    values = {name: MetricValue(value) for name, value in metrics.items()}
    return FolderAccuracy(values, logits, [NOTE, *reliability_notes(accuracy)])
