"""Opening the data sets of a run: what is scanned, warned of and refused."""

import numpy as np
import pytest

from tests.helpers.image_files import UGLY, encoded, make_folder, smooth
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import eval_images, open_datasets
from ugatit_jax.data.datasets import evenly_spaced_indices


def test_folder_data_set(tmp_path, config, caplog):
    make_folder(tmp_path, {'trainA': 5, 'trainB': 3, 'testA': 2})
    config.data.source = f'folder:{tmp_path}'
    datasets = open_datasets(config)
    assert [len(source) for source in (datasets.train_A, datasets.train_B, datasets.test_A)] == [5, 3, 2]
    assert datasets.test_B is None
    assert 'no test images of domain B' in caplog.text
    config.data.swap = True
    assert len(open_datasets(config).train_A) == 3


def test_unreadable_files_are_skipped_up_to_the_share(tmp_path, config):
    make_folder(tmp_path, {'trainA': 5, 'trainB': 3})
    (tmp_path / 'trainA' / '002.png').write_bytes(b'')
    config.data.source = f'folder:{tmp_path}'
    with pytest.raises(UserError, match='002.png: empty file'):
        open_datasets(config)
    config.data.max_bad_fraction = 0.2
    train_A = open_datasets(config).train_A
    assert train_A.keys == ['000.png', '001.png', '003.png', '004.png']
    assert train_A.read(2).shape == (24, 24, 3)
    np.testing.assert_array_equal(train_A.read(2), smooth(24, 24, seed=3))
    before = train_A.fingerprint()
    (tmp_path / 'trainA' / '002.png').unlink()
    assert open_datasets(config).train_A.fingerprint() != before


def test_missing_training_images_are_a_user_error(tmp_path, config):
    make_folder(tmp_path, {'trainA': 1})
    config.data.source = f'folder:{tmp_path}'
    with pytest.raises(UserError, match='no trainB'):
        open_datasets(config)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('data.fit', 'squash'),
        ('data.background', (0, 0)),
        ('data.background', (0, 0, 256)),
        ('data.max_bad_fraction', -0.1),
        ('data.max_bad_fraction', 1.5),
        ('data.head_margin', -1.0),
        ('augment.flip', 1.5),
        ('augment.translate', 0.9),
        ('augment.saturation', 2.0),
        ('augment.diffaugment', 'colour'),
    ],
)
def test_values_that_cannot_be_meant_are_refused(field, value, config):
    block, name = field.split('.')
    config[block][name] = value
    with pytest.raises(UserError, match=name):
        open_datasets(config)


@pytest.mark.parametrize(('source_channels', 'channels'), [(3, 1), (4, 3), (1, 3), (3, 4), (5, 5)])
def test_channels_from_folder_to_networks(tmp_path, config, source_channels, channels):
    pixels = smooth(16, 16, channels=source_channels)
    for split in ('trainA', 'trainB'):
        (tmp_path / split).mkdir()
        if source_channels == 5:
            np.save(tmp_path / split / 'x.npy', pixels)
        else:
            (tmp_path / split / 'x.png').write_bytes(encoded(pixels))
    config.data.source = f'folder:{tmp_path}'
    config.data.channels_A = channels
    config.data.channels_B = channels
    images = eval_images(open_datasets(config).train_A, [0, 0], config)
    assert images.shape == (2, 16, 16, channels)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1.0
    if source_channels == channels:
        np.testing.assert_allclose((images[0] + 1) * 127.5, pixels, atol=1e-4)


def test_synthetic_comes_at_the_size_that_is_needed(config):
    datasets = open_datasets(config)
    assert datasets.train_A.read(0).shape == (18, 18, 3)
    assert datasets.test_A.read(0).shape == (16, 16, 3)
    assert datasets.test_A.mask(0).shape == (16, 16)
    config.augment.crop = False
    assert open_datasets(config).train_A.read(0).shape == (16, 16, 3)


def test_a_file_that_vanishes_during_a_run_is_named(tmp_path, config):
    make_folder(tmp_path, {'trainA': 2, 'trainB': 2})
    config.data.source = f'folder:{tmp_path}'
    train_A = open_datasets(config).train_A
    (tmp_path / 'trainA' / '001.png').unlink()
    with pytest.raises(UserError, match=r'001\.png cannot be read any more: .*No such file'):
        eval_images(train_A, [1], config)


@pytest.mark.parametrize(
    ('count', 'wanted', 'expected'), [(10, 4, [0, 2, 5, 7]), (3, 3, [0, 1, 2]), (2, 5, [0, 1]), (0, 5, []), (5, 0, [])]
)
def test_evenly_spaced_indices(count, wanted, expected):
    assert evenly_spaced_indices(count, wanted) == expected


@pytest.mark.skipif(not UGLY.is_dir(), reason='the collection of ugly files is not on this machine')
@pytest.mark.parametrize('fit', ['stretch', 'short_side_crop', 'pad'])
def test_ugly_images_through_every_mode(tmp_path, config, fit):
    for split in ('trainA', 'trainB'):
        (tmp_path / split).symlink_to(UGLY)
    config.data.update(source=f'folder:{tmp_path}', fit=fit, max_bad_fraction=0.3)
    train_A = open_datasets(config).train_A
    images = eval_images(train_A, range(len(train_A)), config)
    assert images.shape == (31, 16, 16, 3)
