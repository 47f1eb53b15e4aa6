"""prepare --faces: training sets of the faces in photos."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers.drawn_face import photo
from tests.helpers.image_files import make_folder
from tests.helpers.translation import list_files
from ugatit_jax.data import prepare
from ugatit_jax.data.prepare_faces import reduced
from ugatit_jax.faces.crop import BOX_CENTRE, BOX_SHARE, cut
from ugatit_jax.faces.found import faces_of


@pytest.fixture
def root(tmp_path):
    """Photos in A, in folders and with names that differ in their suffix alone, and images in B."""
    make_folder(tmp_path / 'set', {'trainB': 2})
    (tmp_path / 'set' / 'trainA' / 'below').mkdir(parents=True)
    two = photo(250, 170, (65, 85, 90, 0), (165, 85, 90, 30))
    Image.fromarray(two).save(tmp_path / 'set' / 'trainA' / 'below' / 'two.png')
    small = photo(200, 100, (50, 50, 32, 0), (165, 50, 70, 0))
    Image.fromarray(small).save(tmp_path / 'set' / 'trainA' / 'x.png')
    Image.fromarray(small[:40]).save(tmp_path / 'set' / 'trainA' / 'x.webp', lossless=True)
    return tmp_path / 'set'


def run(*flags):
    return prepare.main(list(map(str, flags)))


def test_faces_take_the_place_of_photos(root, tmp_path, capsys):
    output = tmp_path / 'faces'
    assert run(f'--source=folder:{root}', f'--output={output}', '--faces=A') == 0
    printed = capsys.readouterr().out
    assert (
        'trainA: 3 faces of 3 images; images without a face: 1; faces cut off at the edge: 1, '
        'too small and left out: 1; files left out: 0\n'
    ) in printed
    assert 'trainB: 2 images as they are, 0 files left out' in printed and f'folder:{output}' in printed
    names = ['trainA/below/two.face1.png', 'trainA/below/two.face2.png', 'trainA/x.png.face1.png']
    copied = list_files(root / 'trainB')
    assert list_files(output) == sorted(['faces.json', *names, *(f'trainB/{name}' for name in copied)])
    for name in copied:
        assert (output / 'trainB' / name).read_bytes() == (root / 'trainB' / name).read_bytes()
    pixels = np.asarray(Image.open(root / 'trainA' / 'below' / 'two.png'))
    for name, box in zip(names, faces_of(pixels).boxes):
        np.testing.assert_array_equal(np.asarray(Image.open(output / name)), cut(pixels, box))
    note = json.loads((output / 'faces.json').read_text())
    assert note['domains'] == 'A' and (note['box_share_of_side'], note['box_centre_below_top']) == (BOX_SHARE, BOX_CENTRE)
    assert (
        note['splits']['trainA'] | {'images': 3, 'photos': 3, 'without_face': 1, 'too_small': 1} == note['splits']['trainA']
    )
    assert run(f'--source=folder:{root}', f'--output={output}', '--faces=A') == 2
    assert 'there is something already' in capsys.readouterr().err


def test_mistakes_end_in_one_line_and_write_nothing(root, tmp_path, capsys):
    for flags, message in (
        (('--faces=B',), 'no face was found in the 2 images of'),
        (('--faces=A', '--channels=1'), '--faces is for RGB images, not for --channels=1'),
    ):
        assert run(f'--source=folder:{root}', f'--output={tmp_path / "faces"}', *flags) == 2
        assert message in capsys.readouterr().err
    assert run('--source=nowhere', f'--output={tmp_path / "faces"}', '--faces=A') == 2
    assert 'expected folder:PATH' in capsys.readouterr().err
    inside = root / 'trainA' / 'below' / 'made'
    assert run(f'--source=folder:{root}', f'--output={inside}', '--faces=A') == 2
    assert f'is inside {root / "trainA"}, among the images' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['set'] and not inside.exists()


def test_large_crops_are_reduced():
    assert reduced(np.zeros((700, 700, 3), np.uint8)).shape == (512, 512, 3)
    assert reduced(np.zeros((90, 90, 3), np.uint8)).shape == (90, 90, 3)
