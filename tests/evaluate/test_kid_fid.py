"""KID, FID, precision and recall: by hand, against scipy's matrix square root, and against torch-fidelity."""

import json
import os
import subprocess

import numpy as np
import pytest

from tests.helpers.paths import ROOT
from tests.helpers.random_inception import GOLDEN, SUBSET_SIZE, SUBSETS, random_squares, write_folder
from ugatit_jax.evaluate import kid_fid


@pytest.fixture(scope='module')
def features(extractor):
    return {domain: extractor(random_squares(domain), 'fidelity') for domain in 'AB'}


def check(found, features):
    kid = kid_fid.kid_of_subsets(features['A'], features['B'], SUBSETS, SUBSET_SIZE)
    assert kid.value == pytest.approx(found['kid'], rel=1e-4) and kid.spread == pytest.approx(found['kid_spread'], rel=1e-4)
    assert kid_fid.frechet_distance(features['A'], features['B']) == pytest.approx(found['fid'], rel=1e-4)
    precision, recall = kid_fid.precision_and_recall(features['A'], features['B'])
    assert (precision, recall) == pytest.approx((found['precision'], found['recall']))


def test_two_folders_as_torch_fidelity_recorded_them(features):
    check(json.loads((GOLDEN / 'fidelity.json').read_text()), features)


def test_two_folders_beside_torch_fidelity(features, weights_file, tmp_path):
    """make oracle sets ORACLE to a Python that has torch and torch-fidelity."""
    python = os.environ.get('ORACLE')
    if not python:
        pytest.skip('needs torch-fidelity 0.4.0: make oracle')
    folders = [str(write_folder(tmp_path / domain, domain)) for domain in 'AB']
    result = subprocess.run(
        [
            python,
            str(ROOT / 'tests' / 'helpers' / 'fidelity.py'),
            str(weights_file),
            *folders,
            str(SUBSETS),
            str(SUBSET_SIZE),
        ],
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    check(found, features)
    print(json.dumps(found, indent=1))  # what golden_data/fidelity.json holds


def gaussian(n, d, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def test_fid_equals_the_matrix_root_for_few_and_for_many():
    import scipy.linalg

    for m, n, d in ((5, 7, 12), (40, 9, 12), (50, 60, 12)):
        x, y = gaussian(m, d), gaussian(n, d, 0.5, 1) * 1.5
        root = scipy.linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)).real
        traces = np.trace(np.cov(x, rowvar=False) + np.cov(y, rowvar=False) - 2 * root)
        assert kid_fid.frechet_distance(x, y) == pytest.approx(np.sum((x.mean(0) - y.mean(0)) ** 2) + traces, rel=1e-5)
    assert kid_fid.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_squared_mmd_by_hand():
    x, y = np.array([[1.0, 0], [0, 1]]), np.array([[2.0, 0], [0, 2], [1, 1]])

    def kernel(a, b):
        return (a @ b / 2 + 1) ** 3

    within_x = kernel(x[0], x[1])
    within_y = np.mean([kernel(y[i], y[j]) for i in range(3) for j in range(3) if i != j])
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert kid_fid.squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * between)


def test_kid_of_equal_sets_is_not_clamped():
    x = gaussian(30, 8)
    kid = kid_fid.kid_of_subsets(x, x)
    assert kid_fid.squared_mmd(x, x) < 0 and kid.spread > 1e-3
    assert kid_fid.kid_subset_size(x, x) == 15 and kid_fid.kid_subset_size(x[:3], x) == 2


@pytest.mark.parametrize(
    'm, n, sizes',
    [
        (140, 120, (14, {10}, {8, 9})),
        (100, 100, (10, {10}, {10})),
        (25, 25, (3, {8, 9}, {8, 9})),
        (5, 100, (2, {2, 3}, {50})),
        (2, 2, (1, {2}, {2})),
    ],
)
def test_blocks_are_consecutive_disjoint_and_of_at_most_ten(m, n, sizes, monkeypatch):
    blocks = []
    monkeypatch.setattr(kid_fid, 'squared_mmd', lambda x, y: blocks.append((list(x[:, 0]), list(y[:, 0]))) or 0.0)
    kid_fid.kid_of_blocks(np.arange(m)[:, None], np.arange(n)[:, None])
    assert (len(blocks), {len(x) for x, _ in blocks}, {len(y) for _, y in blocks}) == sizes
    assert sum((x for x, _ in blocks), []) == list(range(m)) and sum((y for _, y in blocks), []) == list(range(n))


def test_precision_and_recall():
    x = gaussian(60, 4)
    assert kid_fid.precision_and_recall(x, x) == (1, 1)
    assert kid_fid.precision_and_recall(x, x + 100) == (0, 0)
    narrow = x * 0.1  # fakes of the middle only: good, and missing much
    precision, recall = kid_fid.precision_and_recall(narrow, x)
    assert precision > 0.9 > 0.3 > recall
    assert kid_fid.precision_and_recall(x[:2], x[:3])[0] >= 0  # fewer than three neighbours
