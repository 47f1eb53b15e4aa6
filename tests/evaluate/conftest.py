"""One compiled InceptionV3 with random weights for all tests here; compiling and running it is what they cost."""

import jax
import numpy as np
import pytest

from tests.helpers.random_inception import GOLDEN, state_dict
from tests.helpers.torch_writer import write_legacy
from ugatit_jax import sharding
from ugatit_jax.evaluate.inception_features import Extractor
from ugatit_jax.evaluate.weights import load_weights


@pytest.fixture(scope='session')
def weights_file(tmp_path_factory):
    """A file as the published one: the same network, the same form, other numbers."""
    path = tmp_path_factory.mktemp('weights') / 'random.pth'
    write_legacy(path, state_dict())
    return path


@pytest.fixture(scope='session')
def extractor(weights_file):
    """Reads the file, so what is compared went through the reader."""
    return Extractor(load_weights(str(weights_file)), sharding.make_mesh(jax.device_count()), batch_size=4)


@pytest.fixture(scope='session')
def golden():
    """x: images, uint8 [3, 40, 56, 3]; f2048: torch-fidelity 0.4.0's features of them; of the reference's file."""
    with np.load(GOLDEN / 'inception.npz') as file:
        return dict(file)
