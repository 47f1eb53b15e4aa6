import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests.helpers.image_files import encoded, make_folder, smooth
from ugatit_jax.data import open_datasets, prepare
from ugatit_jax.errors import UserError


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
    assert 'trainA: 3 images, 0 files left out\ntrainB: 2 images, 0 files left out' in capsys.readouterr().out
    before = sorted(path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*'))
    assert prepare.main(command) == 2
    assert 'is already there' in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / 'out').rglob('*')) == before


def test_refusals(tmp_path, config):
    make_folder(tmp_path, {'trainA': 2, 'trainB': 2})
    (tmp_path / 'trainB' / '000.png').write_bytes(b'')
    with pytest.raises(UserError, match='000.png: empty file'):
        prepare.prepare(f'folder:{tmp_path}', str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
    with pytest.raises(UserError, match='expected folder:PATH'):
        prepare.prepare('tfds:cycle_gan', str(tmp_path / 'out'))
    config.data.source = f'prepared:{tmp_path}'
    with pytest.raises(UserError, match='no prepared data set there.*ugatit_jax.data.prepare'):
        open_datasets(config)
