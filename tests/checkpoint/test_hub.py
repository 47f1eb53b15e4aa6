"""hf://OWNER/NAME: a folder of generators on the Hub, here a stand-in of it, is read as one on this machine."""

import shutil
import time

import numpy as np
import pytest
from huggingface_hub import constants

import ugatit_jax
from tests.helpers.hub import COMMIT, Hub
from tests.helpers.image_files import encoded, smooth
from tests.helpers.translation import run_translate, write_checkpoint
from ugatit_jax.checkpoint import hub as checkpoint_hub
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.export.model_folder import export_folder

IMAGE = smooth(16, 16)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    to = tmp_path_factory.mktemp('to') / 'cats'
    export_folder(write_checkpoint(tmp_path_factory.mktemp('w') / 'run'), str(to))
    return to


def point_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As HF_ENDPOINT=url, which the library reads at its import."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', url + template)
    monkeypatch.setattr(constants, 'ENDPOINT', url)


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    copy = tmp_path / 'served'
    shutil.copytree(folder, copy)
    with Hub('someone/cats', copy) as hub:
        point_to(hub.url, monkeypatch)
        monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
        yield hub


def test_a_model_of_the_hub_is_the_folder_that_was_uploaded(hub, folder):
    translator = ugatit_jax.load('hf://someone/cats', 'b2a')
    assert [line for line in hub.requests if line.startswith('GET')] == ['GET config.json', 'GET genB2A.safetensors']
    local = ugatit_jax.load(str(folder), 'b2a')
    np.testing.assert_array_equal(translator(IMAGE), local(IMAGE))
    assert translator.loaded.where == f'hf://someone/cats@{COMMIT}' and translator.model == local.model
    np.testing.assert_array_equal(translator.cycle(IMAGE), local.cycle(IMAGE))  # reads the other direction
    assert 'GET genA2B.safetensors' in hub.requests


def test_the_command_takes_it_and_the_cache_serves_it_without_a_network(hub, folder, tmp_path, monkeypatch):
    (tmp_path / 'x.png').write_bytes(encoded(IMAGE))
    assert run_translate('hf://someone/cats@main', tmp_path / 'x.png', tmp_path / 'out') == 0
    assert (tmp_path / 'out' / 'x.png').is_file()
    gets = [line for line in hub.requests if line.startswith('GET')]
    ugatit_jax.load('hf://someone/cats')
    assert [line for line in hub.requests if line.startswith('GET')] == gets  # nothing is downloaded twice
    point_to('http://127.0.0.1:9', monkeypatch)  # nothing answers there
    assert load_generators('hf://someone/cats', names=('genA2B',)).config == load_generators(str(folder)).config
    monkeypatch.setattr(time, 'sleep', lambda seconds: None)  # the library tries for 23 s
    with pytest.raises(UserError, match='genB2A.safetensors is not in the cache, and the Hub does not answer'):
        load_generators('hf://someone/cats')


def test_errors_are_one_line(hub, monkeypatch):
    def error(path: str) -> str:
        with pytest.raises(UserError) as raised:
            ugatit_jax.load(path)
        assert str(raised.value).startswith(path) and '\n' not in str(raised.value)
        return str(raised.value)

    assert 'no such model on the Hub' in error('hf://someone/dogs')
    assert 'no revision v2' in error('hf://someone/cats@v2')
    for path in ('HF://owner/name', 'hf://cats', 'hf://', 'hf://a/b/c', 'hf://../x/../y'):
        assert 'is not hf://OWNER/NAME' in error(path)
    error('hf://-a/b..c')  # a name that the Hub does not take
    (hub.folder / 'config.json').rename(hub.folder / 'other.json')
    assert 'it has no config.json' in error('hf://someone/cats')
    monkeypatch.setattr(checkpoint_hub, 'is_installed', lambda module: False)
    assert 'pip install -e .[hub]' in error('hf://someone/cats')


def test_a_file_that_is_not_the_named_one_is_refused(hub):
    weights = hub.folder / 'genA2B.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1] + b'x')
    with pytest.raises(UserError, match='SHA-256 differs'):
        ugatit_jax.load('hf://someone/cats')
