"""EfficientNet-Lite0 against the PyTorch package's features, and against the mistakes that are made in porting it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.array_source import noise
from tests.helpers.random_effnet import GOLDEN
from ugatit_jax.evaluate import effnet, inception, resize
from ugatit_jax.evaluate.effnet_weights import load_effnet, package_file, params_from_state_dict
from ugatit_jax.evaluate.resize import effnet_input

TOLERANCE = (
    1e-4  # of values up to 16; largest difference when this was written: 5e-5 (blocks), 3e-5 (pooled), 2e-7 (distance)
)


@pytest.fixture(scope='module')
def effnet_golden():
    with np.load(GOLDEN) as file:
        return dict(file)


@pytest.fixture(scope='module')
def prepared(effnet_golden):
    return jnp.asarray((effnet_golden['x'].astype(np.float32) - 127) / 128)


@pytest.fixture(scope='module')
def params(effnet_extractor):
    return effnet_extractor.params


def pairs_of(prepared):
    """Images 0 and 1, 0 and 2."""
    return jnp.stack([prepared[jnp.array([0, i])] for i in (1, 2)])


def test_features_are_those_of_the_pytorch_package(effnet_golden, prepared, params, effnet_extractor):
    outputs = jax.jit(effnet.block_outputs)(params, prepared)
    for i in effnet.COMPARED:
        np.testing.assert_allclose(outputs[i][0], effnet_golden[f'random/block_{i}'], atol=TOLERANCE, rtol=0)
    pooled = effnet_extractor.features(params, prepared)
    assert pooled.dtype == jnp.float32 and pooled.std() > 1  # weights that make all features 0 prove nothing
    np.testing.assert_allclose(pooled, effnet_golden['random/pooled'], atol=TOLERANCE, rtol=0)


def test_distances_are_those_of_the_formula_in_pytorch(effnet_golden, prepared, params, effnet_extractor):
    found = effnet_extractor.pair_distances(params, pairs_of(prepared))
    np.testing.assert_allclose(found, effnet_golden['random/distance'], atol=1e-5, rtol=0)


@pytest.mark.skipif(package_file() is None, reason='needs the extra [perceptual]')
def test_real_weights_are_read_without_torch(effnet_golden, prepared, effnet_extractor):
    weights = load_effnet()
    pooled = effnet_extractor.features(weights.params, prepared)
    np.testing.assert_allclose(pooled, effnet_golden['real/pooled'], atol=2e-5, rtol=0)
    found = effnet_extractor.pair_distances(weights.params, pairs_of(prepared))
    np.testing.assert_allclose(found, effnet_golden['real/distance'], atol=1e-5, rtol=0)


def torch_padding(params, name, x, stride):
    """Padding of k // 2 on both sides, torch's usual one, in place of SAME."""
    layer, k = params[name], params[name]['kernel'].shape[0]
    y = jax.lax.conv_general_dilated(
        x,
        layer['kernel'],
        (stride, stride),
        [(k // 2, k // 2)] * 2,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        feature_group_count=x.shape[-1],
    )
    return y * layer['scale'] + layer['shift']


MISTAKES = {
    'padding': ('depthwise_conv_bn', torch_padding),
    'relu': ('jax.nn.relu6', jax.nn.relu),
    'no residuals': ('Block.residual', False),
}


@pytest.mark.parametrize('mistake', MISTAKES)
def test_mistakes_in_the_network_are_seen(mistake, effnet_golden, prepared, params, monkeypatch):
    name, wrong = MISTAKES[mistake]
    monkeypatch.setattr(f'ugatit_jax.evaluate.effnet.{name}', wrong)
    # a new function each time, so that it is traced anew
    pooled = jax.jit(lambda params, x: effnet.features(params, x))(params, prepared)
    assert np.abs(pooled - effnet_golden['random/pooled']).max() > 100 * TOLERANCE


def test_mistakes_in_the_weights_are_seen(effnet_golden, prepared, effnet_state, effnet_extractor, monkeypatch):
    monkeypatch.setattr(inception, 'BN_EPS', 1e-5)  # torch's
    pooled = effnet_extractor.features(params_from_state_dict(effnet_state, 'x'), prepared)
    assert np.abs(pooled - effnet_golden['random/pooled']).max() > 10 * TOLERANCE


def test_any_number_and_mixed_sizes(effnet_extractor):
    """Each image's features are its own, whatever stands beside it in a batch and however the batch is filled up."""
    images = [*noise(3, seed=1), noise(1, seed=2, size=16)[0], noise(1, seed=3)[0, :20], noise(1, seed=4)[0]]
    together = effnet_extractor(images)
    assert together.shape == (6, effnet.FEATURES)
    np.testing.assert_allclose(effnet_extractor(images[4:5]), together[4:5], atol=1e-4)
    distances = effnet_extractor.distances(images, images[1:] + images[:1])
    assert distances.shape == (6,) and (distances > 1e-3).all()
    np.testing.assert_allclose(effnet_extractor.distances(images[1:3], images[:2]), distances[:2], rtol=1e-3)  # symmetric


def test_the_input_is_the_official_releases():
    pixels = np.array([[[0, 127, 255]]], np.uint8).repeat(2, 0)
    found = effnet_input(pixels)
    assert found.shape == (224, 224, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found[5, 7], [-127 / 128, 0, 1], rtol=1e-6)
    larger = noise(1, seed=5)[0]
    np.testing.assert_array_equal(found.shape, effnet_input(larger).shape)
    np.testing.assert_allclose(effnet_input(larger) * 128 + 127, resize.pillow_bilinear(larger, 224), atol=1e-4)
