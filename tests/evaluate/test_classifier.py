"""The classifier of domain accuracy."""

import numpy as np

from ugatit_jax.data.sources.synthetic import Synthetic
from ugatit_jax.evaluate import classifier as classifier_module
from ugatit_jax.evaluate.classifier import reliability_notes, train_classifier


def test_a_classifier_tells_faces_apart_and_judges_fakes(monkeypatch):
    monkeypatch.setattr(classifier_module, 'STEPS', 50)
    images = {
        (domain, split): [source.read(i) for i in range(20)]
        for domain in 'AB'
        for split in ('train', 'test')
        if (source := Synthetic(domain, split, 48))
    }
    classifier, again = (train_classifier(images['A', 'train'], images['B', 'train'], 0) for _ in range(2))
    for domain, other in ('AB', 'BA'):
        logits = classifier.logits(images[domain, 'test'], domain)
        assert (logits > 0).mean() >= 0.95
        np.testing.assert_array_equal(logits, -classifier.logits(images[domain, 'test'], other))
        np.testing.assert_array_equal(logits, again.logits(images[domain, 'test'], domain))
    grey = [np.full((20, 30, 3), 128, np.uint8)] * 40  # more than one batch, another size
    assert len(set(classifier.logits(grey, 'B'))) == 1 and len(classifier.logits(grey, 'B')) == 40


def test_a_weak_classifier_comes_with_a_warning():
    assert reliability_notes(0.9) == []
    assert reliability_notes(0.899) == [
        'domain accuracy is unreliable: its classifier is right on only 89.9% of the real images'
    ]
