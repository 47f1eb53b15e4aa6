"""The metrics that need no downloaded weights: L1, PSNR, domain accuracy, where the heatmap falls."""

import numpy as np
import pytest

from ugatit_jax.data.sources.synthetic import Synthetic
from ugatit_jax.evaluate import classifier as classifier_module
from ugatit_jax.evaluate.classifier import train_classifier
from ugatit_jax.evaluate.heatmap import heatmap_metrics
from ugatit_jax.evaluate.image_errors import l1, psnr


def test_l1_and_psnr_of_each_image():
    a = np.zeros((2, 4, 4, 3), np.float32)
    b = np.stack([a[0] + 0.2, a[1]])
    np.testing.assert_allclose(l1(a, b), [0.2, 0], atol=1e-7)
    np.testing.assert_allclose(psnr(a, b), [20, 10 * np.log10(4e10)], atol=1e-4)  # 2 / 0.2 is 20 dB; equal is finite


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


def test_heatmaps_on_the_changed_part_beside_it_and_flat():
    mask = np.zeros((32, 32), bool)
    mask[:16, :16] = True
    inside, outside = np.zeros((8, 8)), np.zeros((8, 8))
    inside[:4, :4], outside[4:, 4:] = 5, 5
    found = heatmap_metrics(np.stack([inside - 3, outside, np.ones((8, 8))]), np.stack([mask] * 3))
    assert found['pointing_accuracy'].tolist() == [1, 0, 0.25] and (found['heatmap_chance'] == 0.25).all()
    assert found['heatmap_inside'][0] > 0.8 and found['heatmap_inside'][1] < 0.01 and found['heatmap_inside'][2] == 0.25
    assert found['heatmap_iou'] == pytest.approx([1, 0, 1 / 7], abs=0.05)
    # the true mask as a heatmap: as good as it gets at a quarter of the side
    source = Synthetic('A', 'test', 64)
    masks = np.stack([source.mask(i) for i in range(4)])
    found = heatmap_metrics(masks.reshape(4, 16, 4, 16, 4).mean((2, 4)), masks)
    assert (found['pointing_accuracy'] == 1).all() and found['heatmap_iou'].min() > 0.8
