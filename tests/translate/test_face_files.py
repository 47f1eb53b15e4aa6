"""--faces: photos with translated faces in them, and crops."""

import sys

import numpy as np
import pytest
from PIL import Image

import ugatit_jax
from tests.helpers.authority import Authority
from tests.helpers.drawn_face import photo
from tests.helpers.translation import list_files, noise_image, run_translate, write_checkpoint
from ugatit_jax.faces.crop import cut, paste
from ugatit_jax.faces.found import faces_of
from ugatit_jax.translate.output_files import write_image

TWO = (65, 85, 90, 0), (165, 85, 90, 30)  # the second turned


@pytest.fixture(scope='module')
def two_faces():
    return photo(250, 170, *TWO)


@pytest.fixture
def folder(tmp_path, two_faces):
    """A photo with two faces, one without any, and a grey JPEG with one that EXIF says to turn."""
    (tmp_path / 'in').mkdir()
    Image.fromarray(two_faces).save(tmp_path / 'in' / 'two.png')
    Image.fromarray(photo(90, 80)).save(tmp_path / 'in' / 'none.png')
    exif = Image.Exif()
    exif[274] = 6  # shown after a quarter turn clockwise
    lying = Image.fromarray(photo(90, 110, (45, 60, 80, 0))).convert('L').rotate(90, expand=True)
    lying.save(tmp_path / 'in' / 'grey.jpg', exif=exif, quality=95)
    return tmp_path / 'in'


def pasted_by_hand(workdir, pixels):
    """The photo with its faces through the translator."""
    translator, made = ugatit_jax.load(workdir), pixels.copy()
    boxes = faces_of(pixels).boxes
    for box in sorted(boxes, key=lambda box: box.side):
        paste(made, translator(cut(pixels, box)), box)
    return made, boxes


def test_photos_keep_everything_but_their_faces(workdir, folder, two_faces, tmp_path, capsys):
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces', '--compare', '--batch_size=2') == 1
    printed = capsys.readouterr()
    assert 'two.png: 2 faces\n' in printed.err and 'grey.jpg: 1 face\n' in printed.err
    assert '2 of 3 translated' in printed.out and '  none.png: no face was found; ' in printed.err
    assert list_files(tmp_path / 'out') == ['grey.png', 'index.html', 'two.png']
    with Image.open(tmp_path / 'out' / 'two.png') as image:
        assert 'synthetic faces in a photo: translated from A to B' in image.text['Description']
        made = np.asarray(image)
    expected, boxes = pasted_by_hand(workdir, two_faces)
    assert [box.angle > 0 for box in boxes] == [False, True]
    assert abs(made.astype(int) - expected).max() <= 1  # a batch of two rounds differently
    changed = (made != two_faces).any(axis=-1)
    for box in boxes:
        assert changed[int(box.y) - 9 : int(box.y) + 9, int(box.x) - 9 : int(box.x) + 9].mean() > 0.9
    y, x = np.mgrid[:170, :250] + 0.5
    outside = np.all([np.hypot(x - box.x, y - box.y) > box.side * 0.71 for box in boxes], axis=0)  # a square's half diagonal
    assert outside.any() and not changed[outside].any()
    with Image.open(tmp_path / 'out' / 'grey.png') as image:
        assert image.size == (90, 110) and image.mode == 'RGB'
    html = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert html.count('<img') == 4
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces', '--compare', '--skip_existing') == 1
    assert (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8') == html
    assert '0 of 3 translated' in (again := capsys.readouterr().out) and '2 were there already' in again


def test_crops_are_images_of_their_own(workdir, folder, two_faces, tmp_path, capsys):
    (folder / 'none.png').unlink(), (folder / 'grey.jpg').unlink()
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces=crops') == 0
    assert list_files(tmp_path / 'out') == ['two.face1.png', 'two.face2.png']
    translator = ugatit_jax.load(workdir)
    for number, box in enumerate(faces_of(two_faces).boxes, 1):
        with Image.open(tmp_path / 'out' / f'two.face{number}.png') as image:
            assert 'synthetic image: translated' in image.text['Description']
            np.testing.assert_array_equal(np.asarray(image), translator(cut(two_faces, box)))
    (tmp_path / 'out' / 'two.face1.png').unlink()  # the last that is written: its photo is not done
    second = (tmp_path / 'out' / 'two.face2.png').read_bytes()
    (tmp_path / 'out' / 'two.face2.png').write_bytes(b'old')
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces=crops') == 2
    assert 'two.face2.png exists; --overwrite' in capsys.readouterr().err
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces=crops', '--skip_existing') == 0
    assert (tmp_path / 'out' / 'two.face2.png').read_bytes() == second
    # a crop would replace an input that has its name
    inputs = [folder / 'two.png', folder / 'two.face2.png']
    Image.fromarray(two_faces).save(inputs[1])
    assert run_translate(workdir, inputs, folder, '--faces=crops', '--overwrite') == 2
    assert 'two.face2.png is the input' in capsys.readouterr().err


def test_of_an_animation_the_first_frame_is_taken_and_said(workdir, two_faces, tmp_path, capsys):
    Image.fromarray(two_faces).save(
        tmp_path / 'wave.webp', save_all=True, append_images=[Image.fromarray(photo(250, 170))], lossless=True
    )
    assert run_translate(workdir, tmp_path / 'wave.webp', tmp_path / 'out', '--faces') == 0
    assert 'wave.webp: 2 faces; the first of 2 frames; as a film' in capsys.readouterr().err


def test_transparency_stays_and_photos_are_signed_as_composites(workdir, two_faces, tmp_path):
    alpha = np.full((170, 250, 1), 255, np.uint8)
    alpha[:, 115:] = 0  # the second face cannot be seen
    pixels = np.concatenate([two_faces, alpha], axis=-1)
    Image.fromarray(pixels).save(tmp_path / 'x.png')
    authority = Authority(tmp_path)
    signer = '--sign={},{}'.format(*authority.issue('good'))
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out.png', '--faces', signer) == 0
    made = np.asarray(Image.open(tmp_path / 'out.png'))
    np.testing.assert_array_equal(made[..., 3:], alpha)
    np.testing.assert_array_equal(made[:, 145:], pixels[:, 145:])
    assert (made[75:95, 55:75] != pixels[75:95, 55:75]).any()
    assert authority.signed_as('png', (tmp_path / 'out.png').read_bytes()) == 'compositeWithTrainedAlgorithmicMedia'
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out.jpg', '--faces', '--quality=100') == 0
    assert Image.open(tmp_path / 'out.jpg').getpixel((245, 165)) == (255, 255, 255)  # data.background
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'crops', '--faces=crops', signer) == 0
    assert authority.signed_as('png', (tmp_path / 'crops' / 'x.face1.png').read_bytes()) == 'trainedAlgorithmicMedia'


@pytest.mark.parametrize(
    'flags, message',
    [
        (('--faces', '--fit=pad'), '--fit=pad has no effect with --faces'),
        (('--faces', '--size=original'), '--size=original with --faces'),
        (('--faces', '--heatmap'), 'hint: python -m ugatit_jax.data.prepare --faces=A'),
        (('--faces=crops', '--strip'), '--heatmap and --strip'),
        (('--faces=crops', '--compare'), '--compare shows photos'),
    ],
)
def test_flags_that_contradict_faces_end_in_one_line(workdir, tmp_path, capsys, flags, message):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out', *flags) == 2
    err = capsys.readouterr().err
    assert err.startswith('ugatit_jax: ') and err.count('\n') == 1 and message in err
    assert not (tmp_path / 'out').exists()


def test_a_missing_package_is_said_before_any_work(workdir, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)
    assert run_translate(workdir, folder, tmp_path / 'out', '--faces') == 2
    assert capsys.readouterr().err == "ugatit_jax: --faces needs OpenCV; hint: pip install 'ugatit_jax[faces]'\n"
    assert not (tmp_path / 'out').exists()


def test_other_results_than_photos_are_refused(workdir, tmp_path, capsys):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out.png', '--faces=crops') == 2
    assert '--output=out.png is one; name a folder' in capsys.readouterr().err
    (tmp_path / 'film.mp4').write_bytes(b'')
    for flag in ('--faces', '--faces=crops'):
        assert run_translate(workdir, tmp_path / 'film.mp4', tmp_path / 'out', flag) == 2
        assert 'film.mp4 is a video' in capsys.readouterr().err
    grey = write_checkpoint(tmp_path / 'run', data__channels_A=1)
    assert run_translate(grey, tmp_path / 'x.png', tmp_path / 'out', '--faces') == 2
    assert 'makes 3 channels of 1; leave --faces out' in capsys.readouterr().err


def test_a_photo_that_cannot_be_written_is_named_once_and_made_the_next_time(workdir, folder, tmp_path, capsys, monkeypatch):
    written = []

    def write_once(path, *arguments, **options):
        written.append(path)
        if len(written) == 2:
            raise OSError('disk full')
        write_image(path, *arguments, **options)

    monkeypatch.setattr('ugatit_jax.translate.face_files.write_image', write_once)
    flags = folder / 'two.png', tmp_path / 'out', '--faces=crops', '--skip_existing'
    assert run_translate(workdir, *flags) == 1
    assert capsys.readouterr().err.count('two.png: cannot be written: disk full') == 1
    assert list_files(tmp_path / 'out') == ['two.face2.png']  # the first, which stands for all, is the last
    assert run_translate(workdir, *flags) == 0
    assert list_files(tmp_path / 'out') == ['two.face1.png', 'two.face2.png']
