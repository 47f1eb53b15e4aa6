"""From data.source to an opened source: splits, swapped domains, and errors that name what is known."""

import sys

import pytest

from tests.helpers.image_files import make_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.data.sources.open_source import Selected, open_source


def test_missing_splits(tmp_path, config):
    make_folder(tmp_path, {'trainA': 5, 'trainB': 3, 'testA': 2})
    config.data.source = f'folder:{tmp_path}'
    assert len(open_source(config, 'A', 'test', missing_ok=True)) == 2
    assert open_source(config, 'B', 'test', missing_ok=True) is None
    with pytest.raises(UserError, match='no testB'):
        open_source(config, 'B', 'test')


def test_swap_exchanges_the_stored_domains(tmp_path, config):
    make_folder(tmp_path, {'trainA': 5, 'trainB': 3})
    config.data.update(source=f'folder:{tmp_path}', swap=True)
    assert [len(open_source(config, domain, 'train')) for domain in 'AB'] == [3, 5]


def test_selected_images(config):
    source = open_source(config, 'A', 'test')
    selected = Selected(source, [3, 1, 1])
    assert len(selected) == 3
    assert selected.keys == [source.keys[3], source.keys[1], source.keys[1]]
    assert (selected.read(0) == source.read(3)).all()
    assert selected.fingerprint() != Selected(source, [1, 3, 1]).fingerprint()
    assert selected.fingerprint() == Selected(open_source(config, 'A', 'test'), [3, 1, 1]).fingerprint()


@pytest.mark.parametrize('source', ['', 'folder', 'folder:', 'zip:/x', 'tfds:', 'synthetic:cars', 'faces'])
def test_unknown_sources_name_the_known_ones(source, config):
    config.data.source = source
    with pytest.raises(UserError, match='faces|folder:PATH'):
        open_source(config, 'A', 'train')


@pytest.mark.parametrize('source', ['tfds:cycle_gan/horse2zebra', 'prepared:/x'])
def test_a_library_that_is_not_there_is_named(source, config, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
    config.data.source = source
    with pytest.raises(UserError, match='tensorflow_datasets'):
        open_source(config, 'A', 'train')


@pytest.mark.parametrize('source', ['folder:nosuch://x/y', 'prepared:nosuch://x/y'])
def test_file_systems_that_do_not_answer_are_user_errors(source, config):
    config.data.source = source
    with pytest.raises(UserError, match='nosuch.*cannot be opened'):
        open_source(config, 'A', 'train')
