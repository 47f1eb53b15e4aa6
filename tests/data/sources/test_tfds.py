"""Data sets of TFDS, from small ones that are written here."""

import io

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.helpers.image_files import encoded, smooth
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import open_datasets
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources import tfds as tfds_source


def pet(i):
    """A green image with a red head in a box that moves; one in five has no box."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[..., 1] = 200
    ymin, xmin = 0.1 + 0.02 * (i % 10), 0.2 + 0.02 * (i % 10)
    box = tfds.features.BBox(0.0, 0.0, 0.0, 0.0) if i % 5 == 4 else tfds.features.BBox(ymin, xmin, ymin + 0.5, xmin + 0.5)
    pixels[round(40 * ymin) : round(40 * (ymin + 0.5)), round(60 * xmin) : round(60 * (xmin + 0.5))] = (200, 0, 0)
    return {
        'image': io.BytesIO(encoded(pixels, 'JPEG', quality=95, subsampling=0)),
        'label': i % 2,
        'species': i % 2,
        'file_name': f'{"breed" if i % 2 else "Breed"}_{i:03d}.jpg',
        'head_bbox': box,
        'segmentation_mask': np.zeros((40, 60, 1), np.uint8),
    }


with tfds.core.registered.skip_registration():

    class Pets(tfds.core.GeneratorBasedBuilder):
        """oxford_iiit_pet in its own schema, 4.0.0."""

        name = 'oxford_iiit_pet'
        VERSION = tfds.core.Version('4.0.0')

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {
                        'image': tfds.features.Image(encoding_format='jpeg'),
                        'label': tfds.features.ClassLabel(names=['Breed', 'breed']),
                        'species': tfds.features.ClassLabel(names=['Cat', 'Dog']),
                        'file_name': tfds.features.Text(),
                        'segmentation_mask': tfds.features.Image(shape=(None, None, 1)),
                        'head_bbox': tfds.features.BBoxFeature(),
                    }
                ),
            )

        def _split_generators(self, dl_manager):
            return {'train': self._generate_examples(range(100)), 'test': self._generate_examples(range(4, 10, 5))}

        def _generate_examples(self, numbers):
            for i in numbers:
                yield i, pet(i)

    class Horses(tfds.core.GeneratorBasedBuilder):
        """cycle_gan/horse2zebra in its own schema, 3.0.0."""

        name = 'cycle_gan'
        BUILDER_CONFIGS = (tfds.core.BuilderConfig(name='horse2zebra', version=tfds.core.Version('3.0.0')),)

        def _info(self):
            return tfds.core.DatasetInfo(
                builder=self,
                features=tfds.features.FeaturesDict(
                    {'image': tfds.features.Image(), 'label': tfds.features.ClassLabel(names=['A', 'B'])}
                ),
            )

        def _split_generators(self, dl_manager):
            counts = {'trainA': 6, 'trainB': 4, 'testA': 2, 'testB': 1}
            return {split: self._generate_examples(split, count) for split, count in counts.items()}

        def _generate_examples(self, split, count):
            for i in range(count):
                yield i, {'image': smooth(20, 20, seed=i), 'label': split[-1]}


@pytest.fixture(scope='module', params=['tfrecord', 'array_record'])
def data_dir(request, tmp_path_factory):
    path = str(tmp_path_factory.mktemp('tfds'))
    no_stats = tfds.download.DownloadConfig(compute_stats='skip')
    Pets(data_dir=path, file_format=request.param).download_and_prepare(download_config=no_stats)
    Horses(config='horse2zebra', data_dir=path, file_format=request.param).download_and_prepare(download_config=no_stats)
    return path


@pytest.fixture(autouse=True)
def forget():
    tfds_source.read_records.cache_clear()


def test_pets_by_species_cut_to_their_heads(data_dir, config, caplog):
    config.data.update(source='tfds:oxford_iiit_pet', data_dir=data_dir, head_margin=0.0)
    datasets = open_datasets(config)
    assert 'left out 10 of 50 cats without a head box' in caplog.text
    assert 'left out 10 of 50 dogs' in caplog.text
    assert len(datasets.train_A) + len(datasets.test_A) == 40
    assert len(datasets.test_A) == 3
    assert not set(datasets.train_A.keys) & set(datasets.test_A.keys)
    assert all(key.startswith('Breed') for key in datasets.train_A.keys + datasets.test_A.keys)
    assert all(key.startswith('breed') for key in datasets.train_B.keys + datasets.test_B.keys)
    for i in range(4):
        pixels = datasets.train_B.read(i).astype(int)
        assert pixels.shape == (20, 30, 3)
        assert pixels[2:-2, 2:-2, 0].min() > 150  # all head
        assert pixels[2:-2, 2:-2, 1].max() < 60


def test_head_margin_widens_inside_the_image(data_dir, config):
    config.data.update(source='tfds:oxford_iiit_pet', data_dir=data_dir, head_margin=0.2)
    pixels = open_datasets(config).train_A.read(0)
    assert pixels.shape == (28, 42, 3)
    assert pixels[0, 0, 1] > 150  # the green around the head
    assert tfds_source.widened((0.1, 0.2, 0.5, 0.9), 1.0) == (0.0, 0.0, 0.9, 1.0)
    with pytest.raises(DecodeError, match='no area'):
        tfds_source.cut(pixels, (0.5, 0.5, 0.51, 0.9))


def test_cycle_gan_splits_and_swap(data_dir, config):
    config.data.update(source='tfds:cycle_gan/horse2zebra', data_dir=data_dir)
    datasets = open_datasets(config)
    assert [len(x) for x in (datasets.train_A, datasets.train_B, datasets.test_A, datasets.test_B)] == [6, 4, 2, 1]
    stored = {datasets.train_A.read(i).tobytes() for i in range(6)}
    assert stored == {smooth(20, 20, seed=i).tobytes() for i in range(6)}
    config.data.swap = True
    assert len(open_datasets(config).train_A) == 4


def test_missing_data_say_what_was_looked_for_and_the_ways(tmp_path, config):
    config.data.update(source='tfds:cycle_gan/horse2zebra', data_dir=str(tmp_path), download=False)
    with pytest.raises(
        UserError, match=f'cycle_gan/horse2zebra is not in {tmp_path} and data.download=False.*folder:PATH'
    ) as error:
        open_datasets(config)
    assert '\n' not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_download_is_one_line(tmp_path, config, monkeypatch):
    def fail(self, **_):
        raise ConnectionError('no route to host\nsecond line')

    monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', fail)
    monkeypatch.setattr(tfds_source.socket, 'getaddrinfo', lambda *_: [])
    config.data.update(source='tfds:cycle_gan/horse2zebra', data_dir=str(tmp_path))
    with pytest.raises(
        UserError, match=r'could not be downloaded \(ConnectionError: no route to host\): prepare it'
    ) as error:
        open_datasets(config)
    assert '\n' not in str(error.value)


def test_without_a_network_it_does_not_try_for_minutes(tmp_path, config, monkeypatch):
    def fail(*_):
        raise OSError('Name or service not known')

    monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', lambda *_, **__: pytest.fail('tried'))
    monkeypatch.setattr(tfds_source.socket, 'getaddrinfo', fail)
    monkeypatch.setattr(tfds_source.urllib.request, 'getproxies', dict)
    config.data.update(source='tfds:cycle_gan/horse2zebra', data_dir=str(tmp_path))
    with pytest.raises(UserError, match='no network: junyanz.github.io is not found'):
        open_datasets(config)


def test_names_and_sets_that_do_not_fit(data_dir, config):
    config.data.update(data_dir=data_dir, download=False)
    for source, reason in (('tfds:no_such_set', 'no_such_set'), ('tfds:cycle_gan/no_such', 'no_such')):
        config.data.source = source
        with pytest.raises(UserError, match=reason):
            open_datasets(config)
    with pytest.raises(UserError, match='has no split trainA, it has'):
        tfds_source.read_records('oxford_iiit_pet', data_dir, False, 'trainA', ())
    with pytest.raises(UserError, match="no feature 'species'"):
        tfds_source.read_records('cycle_gan/horse2zebra', data_dir, False, 'trainA', ('species',))
