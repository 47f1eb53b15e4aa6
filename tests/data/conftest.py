"""A cache folder and a small config for each test; nothing of the user's cache folder is touched."""

import pathlib

import pytest
from ml_collections import ConfigDict

from configs import default


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty folder in place of ~/.cache."""
    path = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('XDG_CACHE_HOME', str(path))
    return path


@pytest.fixture
def config() -> ConfigDict:
    """The default configuration at 16 pixels."""
    config = default.get_config()
    config.data.image_size, config.data.load_size = 16, 18
    config.data.batch_size = 2
    config.seed = 3
    return config
