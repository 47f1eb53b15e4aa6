"""The protocols of KID and FID: which metrics each reports, with which spread, and the notes on few images."""

import numpy as np
import pytest

from ugatit_jax.evaluate import kid_fid, protocols


def gaussian(n, d, shift=0.0, seed=0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def test_ugatit_reports_target_source_and_both_means():
    fake, target, source = gaussian(40, 6), gaussian(40, 6, 1, 1), gaussian(40, 6, 2, 2)
    found = protocols.inception_metrics(fake, target, source, 'ugatit')
    to_target, to_source = kid_fid.kid_of_blocks(fake, target), kid_fid.kid_of_blocks(fake, source)
    assert found['kid'] == (to_target.mean(), np.std(to_target, ddof=1) / 2)  # 4 blocks
    assert found['kid_source'].value == to_source.mean()
    assert found['kid_mean'].value == pytest.approx((to_target.mean() + to_source.mean()) / 2)
    assert found['kid_mean'].spread == pytest.approx(np.std((to_target + to_source) / 2, ddof=1) / 2)
    assert found['kid_mean_old'].value == pytest.approx(0.02 * to_target.mean() + 0.98 * to_source.mean())
    assert found['kid_baseline'].value == kid_fid.kid_of_blocks(source, target).mean()
    # 40 fakes against 120: other blocks, so the error of the mean is bounded
    wide = protocols.inception_metrics(fake, gaussian(120, 6, 1, 1), source, 'ugatit')
    assert wide['kid_mean'].spread == pytest.approx((wide['kid'].spread + wide['kid_source'].spread) / 2)
    assert protocols.inception_metrics(fake[:4], target[:4], source[:4], 'ugatit')['kid'].spread is None  # one block


def test_without_a_source_only_the_target_is_compared_with():
    fake, target = gaussian(20, 6), gaussian(20, 6, 1, 1)
    for protocol, kid in (
        ('fidelity', kid_fid.kid_of_subsets(fake, target)),
        ('clean', kid_fid.kid_of_subsets(fake, target)),
        ('ugatit', protocols.mean_with_error(kid_fid.kid_of_blocks(fake, target))),
    ):
        found = protocols.inception_metrics(fake, target, None, protocol)
        assert found.keys() == {'kid', 'fid', 'precision', 'recall'} and found['kid'] == kid
        assert found['fid'].value == kid_fid.frechet_distance(fake, target) and found['fid'].spread is None


def test_notes_on_few_images():
    assert protocols.sample_size_notes({'fake': 5000, 'target': 3000}) == []
    assert 'biased' in protocols.sample_size_notes({'fake': 100, 'target': 3000})[0]
    assert 'look at 2 neighbours' in protocols.sample_size_notes({'fake': 100, 'target': 3, 'source': 2})[1]


@pytest.mark.parametrize('protocol', protocols.PROTOCOLS)
def test_kid_effnet_is_kid_of_other_features_under_its_own_names(protocol):
    """Never under the name of a KID of InceptionV3, and without FID, whose features these are not."""
    fake, target, source = gaussian(40, 6, 0, 1), gaussian(40, 6, 1, 1), gaussian(40, 6, 0, 2)
    found = protocols.effnet_metrics(fake, target, source, protocol)
    kid = protocols.inception_metrics(fake, target, source, protocol)
    assert list(found) == ['kid_effnet', 'kid_effnet_source', 'kid_effnet_baseline']
    for name, value in found.items():
        assert value == kid[name.replace('kid_effnet', 'kid')]
    assert len({value.value for value in found.values()}) == 3
    assert list(protocols.effnet_metrics(fake, target, None, protocol)) == ['kid_effnet']
