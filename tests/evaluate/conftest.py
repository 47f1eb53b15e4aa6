"""InceptionV3 and EfficientNet-Lite0 with random weights, compiled once for all tests here: most of their time."""

import jax
import numpy as np
import pytest

from tests.helpers.random_effnet import random_weights
from tests.helpers.random_inception import GOLDEN, state_dict
from tests.helpers.torch_writer import write_legacy
from ugatit_jax.common import sharding
from ugatit_jax.evaluate import effnet
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import EffnetWeights, params_from_state_dict
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import load_weights


@pytest.fixture(scope='session')
def weights_file(tmp_path_factory):
    """A file like the published one, with random values."""
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    write_legacy(path, state_dict())
    return path


@pytest.fixture(scope='session')
def extractor(weights_file):
    """The extractor with the weights of the file, so that its reader is tested too."""
    return FeatureExtractor(load_weights(str(weights_file)), sharding.make_mesh(jax.device_count()), batch_size=4)


@pytest.fixture(scope='session')
def golden():
    """x: images, uint8 [3, 40, 56, 3]; f2048: their features [3, 2048] by torch-fidelity 0.4.0 with the same weights."""
    with np.load(GOLDEN / 'inception.npz') as file:
        return dict(file)


@pytest.fixture(scope='session')
def effnet_state():
    """A state dict of EfficientNet-Lite0 like the package's, with random values."""
    shapes = {'_fc.weight': (effnet.CLASSES, effnet.FEATURES), '_fc.bias': (effnet.CLASSES,)}
    for name, (norm, shape) in effnet.layers().items():
        shapes[f'{name}.weight'] = shape
        shapes |= {f'{norm}.{part}': shape[:1] for part in ('weight', 'bias', 'running_mean', 'running_var')}
    return random_weights(shapes)


@pytest.fixture(scope='session')
def effnet_extractor(effnet_state):
    """EfficientNet-Lite0 with these weights."""
    weights = EffnetWeights(params_from_state_dict(effnet_state, 'random'), 'random', '0' * 64)
    return EffnetExtractor(weights, sharding.make_mesh(jax.device_count()), batch_size=4)
