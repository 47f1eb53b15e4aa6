"""Shards that ugatit_jax.data.prepare writes, against the folder that they were made from."""

import random
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.helpers.damage import flip_bit
from tests.helpers.image_files import encoded, make_folder, smooth
from tests.helpers.paths import ROOT
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import open_datasets, prepare
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources.prepared import PreparedSource
from ugatit_jax.data.unpaired_folder import UnpairedFolder


@pytest.fixture(scope='module')
def places(tmp_path_factory):
    """A folder with formats that TFDS would refuse and one bad file, and what is prepared from it."""
    root = tmp_path_factory.mktemp('set')
    make_folder(root, {'trainA': 12, 'trainB': 4, 'testA': 2})
    (root / 'trainA' / '003.webp').write_bytes(encoded(smooth(24, 24, 77), 'WEBP', lossless=True))
    (root / 'trainA' / '004.png').write_bytes(b'')
    output = root.parent / 'prepared'
    counts = prepare.prepare(f'folder:{root}', str(output), max_bad_fraction=0.2)
    assert counts == {'trainA': (12, 1), 'trainB': (4, 0), 'testA': (2, 0)}
    return root, output


def test_same_images_in_the_same_order(places, config):
    root, output = places
    config.data.max_bad_fraction = 0.2
    config.data.source = f'folder:{root}'
    folder = open_datasets(config)
    config.data.source = f'prepared:{output}'
    prepared = open_datasets(config)
    assert prepared.test_B is None
    for name in ('train_A', 'train_B', 'test_A'):
        a, b = getattr(folder, name), getattr(prepared, name)
        assert len(a) == len(b)
        for i in range(len(a)):
            np.testing.assert_array_equal(a.read(i), b.read(i))
    assert prepared.train_A.fingerprint() != prepared.train_B.fingerprint()


def test_reading_needs_no_tensorflow_and_no_images(places):
    script = """
        import sys
        from importlib.machinery import PathFinder
        find = PathFinder.find_spec  # as if TensorFlow were not installed
        PathFinder.find_spec = lambda name, *rest: None if name.split('.')[0] == 'tensorflow' else find(name, *rest)
        from configs import default
        from ugatit_jax.data import eval_images
        from ugatit_jax.data import open_datasets
        config = default.get_config()
        config.data.update(source='prepared:' + sys.argv[1], image_size=16)
        print(eval_images(open_datasets(config).train_A, [0, 11], config).shape)
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(script), str(places[1])], text=True, capture_output=True, check=False
    )
    assert done.stdout == '(2, 16, 16, 3)\n', done.stderr


def test_command_line_reports_counts(tmp_path, capsys):
    make_folder(tmp_path / 'set', {'trainA': 3, 'trainB': 2})
    command = [f'--source=folder:{tmp_path / "set"}', f'--output={tmp_path / "out"}']
    assert prepare.main(command) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[:2] == ['trainA: 3 images, 0 files left out', 'trainB: 2 images, 0 files left out']
    assert len(printed.out.splitlines()) == 3 and 'examples' not in printed.err  # nothing of TFDS
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*'))
    assert prepare.main(command) == 2
    assert 'is already there' in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')) == before


@pytest.fixture
def copied(places, tmp_path):
    """A copy of what was prepared, to damage, and its folder of files."""
    output = shutil.copytree(places[1], tmp_path / 'copy')
    return output, output / 'unpaired_folder' / '1.0.0'


def test_no_module_that_a_prepared_set_names_is_imported(copied, tmp_path, monkeypatch):
    """TFDS alone would import it."""
    output, folder = copied
    (tmp_path / 'imported_by_tfds.py').write_text('raise SystemExit("imported")')
    monkeypatch.syspath_prepend(tmp_path)
    ours = (folder / 'features.json').read_text()
    name = 'tensorflow_datasets.core.features.text_feature.Text'
    for features in (
        ours.replace(name, 'imported_by_tfds.Text'),
        '{"type": "imported_by_tfds.Text", "content": "{}"}',
        f'{{"pythonClassName": "imported_by_tfds.Text", "pythonClassName": "{name}", "text": {{}}}}',
    ):
        (folder / 'features.json').write_text(features)
        with pytest.raises(UserError, match="features.json names 'imported_by_tfds.Text'") as error:
            PreparedSource(str(output), 'trainA', 3)
        assert '\n' not in str(error.value)
    (folder / 'features.json').write_text(ours.replace(name, 'imported_by_tfds.Text'))
    with pytest.raises(SystemExit, match='imported'):
        tfds.builder_from_directory(folder)


@pytest.mark.parametrize(
    'name, old, new',
    [
        ('dataset_info.json', '{', ''),
        ('dataset_info.json', '"12"', '"1000000000000"'),
        ('dataset_info.json', '"12"', '"-1"'),
        ('dataset_info.json', '"trainA"', '"trainC"'),
        ('dataset_info.json', 'array_record', 'tfrecord'),
        ('features.json', '{', '['),
        ('features.json', '"image"', '"other"'),
    ],
)
def test_damaged_descriptions_are_one_line(copied, name, old, new):
    output, folder = copied
    content = (folder / name).read_text()
    assert old in content
    (folder / name).write_text(content.replace(old, new))
    with pytest.raises((UserError, DecodeError)) as error:
        PreparedSource(str(output), 'trainA', 3).read(0)
    assert '\n' not in str(error.value) and len(str(error.value)) < 600


def test_damaged_shards_give_the_right_images_or_an_error(copied, places):
    output, folder = copied
    whole = PreparedSource(str(places[1]), 'trainA', 3)
    shard, rng, refused = next(folder.glob('*trainA*')), random.Random(0), 0
    content = shard.read_bytes()
    used = [i for i, byte in enumerate(content) if byte]  # most of a small shard are zeros that nobody reads
    for _ in range(40):
        shard.write_bytes(content)
        flip_bit(shard, rng.choice(used), rng.randrange(8))
        try:
            source = PreparedSource(str(output), 'trainA', 3)
        except UserError as error:
            refused += '\n' not in str(error)
            continue
        for i in range(len(source)):
            try:
                np.testing.assert_array_equal(source.read(i), whole.read(i))
            except DecodeError as error:
                assert '\n' not in str(error)
                refused += 1
    assert refused > 20


KILLED = """
import os, signal, sys
from ugatit_jax.data import prepare
from ugatit_jax.data.unpaired_folder import UnpairedFolder
UnpairedFolder._generate_examples = lambda self, *place: os.kill(os.getpid(), signal.SIGKILL)
prepare.prepare(f'folder:{sys.argv[1]}', sys.argv[2])
"""


def test_a_killed_one_leaves_nothing_that_the_next_does_not_remove(tmp_path):
    make_folder(tmp_path / 'set', {'trainA': 4, 'trainB': 4})
    places = [str(tmp_path / 'set'), str(tmp_path / 'out')]
    assert subprocess.run([sys.executable, '-c', KILLED, *places], cwd=ROOT, capture_output=True).returncode == -9
    assert [path.name.endswith('.partial') for path in (tmp_path / 'out').iterdir()] == [True]
    counts = prepare.prepare(f'folder:{tmp_path / "set"}', str(tmp_path / 'out'))
    assert counts == {'trainA': (4, 0), 'trainB': (4, 0)}
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['unpaired_folder']
    assert [path.name for path in (tmp_path / 'out' / 'unpaired_folder').iterdir()] == ['1.0.0']


def test_an_interrupted_one_leaves_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        yield 0, {'image': b'x', 'name': 'x'}
        raise KeyboardInterrupt

    make_folder(tmp_path / 'set', {'trainA': 4, 'trainB': 4})
    monkeypatch.setattr(UnpairedFolder, '_generate_examples', interrupt)
    assert prepare.main([f'--source=folder:{tmp_path / "set"}', f'--output={tmp_path / "out"}']) == 130
    assert capsys.readouterr().err.endswith('ugatit_jax: interrupted\n')
    assert list((tmp_path / 'out').iterdir()) == []


def test_refusals(tmp_path, config):
    make_folder(tmp_path, {'trainA': 2, 'trainB': 2})
    (tmp_path / 'trainB' / '000.png').write_bytes(b'')
    with pytest.raises(UserError, match='000.png: empty file'):
        prepare.prepare(f'folder:{tmp_path}', str(tmp_path / 'out'))
    with pytest.raises(UserError, match='--max_bad_fraction=50: it is a share, from 0 to 1'):
        prepare.prepare(f'folder:{tmp_path}', str(tmp_path / 'out'), max_bad_fraction=50)
    assert not (tmp_path / 'out').exists()
    for output in ('trainB', 'trainB/shards'):
        with pytest.raises(UserError, match=f'{output} is inside .*trainB, among the images; choose a folder outside'):
            prepare.prepare(f'folder:{tmp_path}', str(tmp_path / output))
    assert len(list((tmp_path / 'trainB').iterdir())) == 2
    with pytest.raises(UserError, match='expected folder:PATH'):
        prepare.prepare('tfds:cycle_gan', str(tmp_path / 'out'))
    config.data.source = f'prepared:{tmp_path}'
    with pytest.raises(UserError, match='no prepared data set there.*ugatit_jax.data.prepare'):
        open_datasets(config)
