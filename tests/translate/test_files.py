"""The command: which files it makes of which, and what it refuses."""

import os

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.helpers.translation import STEP, noise_image, write_checkpoint
from ugatit_jax.translate.__main__ import main
from ugatit_jax.translate.inputs import find_inputs, read_image
from ugatit_jax.translate.translator import load

ORANGE = (230, 120, 20)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'täst')


@pytest.fixture
def folder(tmp_path):
    """Two images, one of them in a folder below, a text, and two files that are no images."""
    below = tmp_path / 'in' / 'below'
    below.mkdir(parents=True)
    Image.fromarray(noise_image(16, 24)).save(tmp_path / 'in' / 'a b.jpg')
    Image.fromarray(noise_image(20, 16)).save(below / '猫.png')
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    (tmp_path / 'in' / 'bad.png').write_bytes(b'\x89PNG nothing')
    (below / 'text.jpg').write_text('no image either')
    return tmp_path / 'in'


def run(workdir, source, output, *flags, direction='a2b'):
    return main(
        [
            f'--checkpoint={workdir}',
            '--input',
            *map(str, source if isinstance(source, list) else [source]),
            f'--output={output}',
            f'--direction={direction}',
            *flags,
        ]
    )


def files(folder):
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def test_a_folder_with_bad_files(workdir, folder, tmp_path, capsys):
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    assert run(workdir, folder, tmp_path / 'out', '--heatmap', '--strip', '--compare') == 1
    printed = capsys.readouterr()
    assert '2 of 4 translated' in printed.out and '2 of 4 files could not be translated' in printed.err
    assert 'bad.png: ' in printed.err and "below/text.jpg: not an image but text: 'no image either'" in printed.err
    assert files(tmp_path / 'out') == sorted(
        ['index.html'] + [f'{name}{end}.png' for name in ('a b', 'below/猫') for end in ('', '.heatmap', '.strip')]
    )
    with Image.open(tmp_path / 'out' / 'a b.png') as made, Image.open(tmp_path / 'out' / 'a b.strip.png') as strip:
        assert made.size == (24, 16) and strip.size == (24, 64)
        whole = np.asarray(strip)
        np.testing.assert_array_equal(whole[32:48], np.asarray(made))
        np.testing.assert_array_equal(whole[:16], np.asarray(Image.open(folder / 'a b.jpg')))
        np.testing.assert_array_equal(whole[16:32], np.asarray(Image.open(tmp_path / 'out' / 'a b.heatmap.png')))
    html = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert html.count('<img') == 4 and html.count('src="data:image/jpeg;base64,') == 4 and 'below/猫.png' in html
    assert 'http' not in html
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_results_are_those_of_the_api(workdir, tmp_path):
    images = {f'{i}.png': noise_image(16, 16, seed=i) for i in range(3)} | {'wide.png': noise_image(16, 20)}
    (tmp_path / 'in').mkdir()
    for name, pixels in images.items():
        Image.fromarray(pixels).save(tmp_path / 'in' / name)
    assert run(workdir, tmp_path / 'in', tmp_path / 'out', '--size=original', '--batch_size=2', '--weights=raw') == 0
    translator = load(workdir, weights='raw')
    for name, pixels in images.items():
        made = np.asarray(Image.open(tmp_path / 'out' / name)).astype(int)
        assert abs(made - translator(pixels, size='original')).max() <= 1, name


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'webp'])
def test_images_say_that_they_are_synthetic(workdir, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010F] = 'Camera maker'
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.jpg', exif=exif)
    kept = {}
    for name, flags in (('with', ()), ('without', ('--no_metadata',))):
        assert run(workdir, tmp_path / 'x.jpg', tmp_path / name, f'--format={suffix}', *flags) == 0
        with Image.open(tmp_path / name / f'x.{suffix}') as image:
            assert image.format == {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}[suffix]
            kept[name] = ' '.join(map(str, [*image.info.values(), *image.getexif().values()]))
            assert 'icc_profile' not in image.info
    for text in ('ugatit_jax 0.1.0', f'st step {STEP} ema', 'a2b', 'synthetic'):
        assert text in kept['with'] and text not in kept['without']
    assert 'Camera' not in kept['with'] + kept['without']


def test_names_that_differ_in_their_ends_keep_them(workdir, tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('a.jpg', 'a.png', 'b.bmp'):
        Image.fromarray(noise_image(16, 16)).save(tmp_path / 'in' / name)
    assert run(workdir, tmp_path / 'in', tmp_path / 'out') == 0
    assert files(tmp_path / 'out') == ['a.jpg.png', 'a.png.png', 'b.png']


def test_existing_results_are_kept_unless_told(workdir, tmp_path, capsys):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'x.png').write_text('precious')
    assert run(workdir, tmp_path / 'x.png', out) == 2
    assert '--overwrite' in capsys.readouterr().err and (out / 'x.png').read_text() == 'precious'
    assert run(workdir, tmp_path / 'x.png', out, '--overwrite') == 0
    assert Image.open(out / 'x.png').size == (16, 16) and files(out) == ['x.png']


@pytest.mark.parametrize('flags', [(), ('--overwrite',)])
def test_inputs_are_never_overwritten(workdir, tmp_path, capsys, flags):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    (tmp_path / 'link').symlink_to(tmp_path)
    before = (tmp_path / 'x.png').read_bytes()
    for source, output in (('x.png', ''), ('', ''), ('*.png', 'link')):
        assert run(workdir, tmp_path / source, tmp_path / output, *flags) == 2
        assert (tmp_path / 'x.png').read_bytes() == before
    assert 'overwritten' in capsys.readouterr().err


def test_inputs_files_folders_and_patterns(tmp_path):
    for name in ('in/a.png', 'in/b/c.png', 'in/b/d[1].jpg', 'in/.hidden.png', 'in/Thumbs.db', 'in/out/old.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    base, out = str(tmp_path / 'in'), str(tmp_path / 'in' / 'out')

    def names(*given):
        return [name for _, name in find_inputs([f'{base}/{text}' for text in given], out)]

    assert names('') == ['a.png', 'b/c.png', 'b/d[1].jpg']
    assert names('**/*.png') == ['a.png', 'b/c.png'] and names('*/c.*') == ['b/c.png']
    assert names('b/d[1].jpg') == ['d[1].jpg']
    assert names('a.png', 'b') == ['a.png', 'c.png', 'd[1].jpg']
    assert names('a.png', 'a.png') == ['a.png']


def test_colour_profiles_are_applied(tmp_path):
    """An image with red and green exchanged by its profile comes out exchanged; without one, as it is."""
    lab = ImageCms.createProfile('LAB')
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    swapped = srgb.replace(b'rXYZ', b'\0XYZ', 1).replace(b'gXYZ', b'rXYZ', 1).replace(b'\0XYZ', b'gXYZ', 1)
    profiles = {
        'plain': None,
        'srgb': srgb,
        'swapped': swapped,
        'damaged': b'nonsense',
        'lab': ImageCms.ImageCmsProfile(lab).tobytes(),
    }
    got = {}
    for name, profile in profiles.items():
        path = tmp_path / f'{name}.png'
        Image.new('RGB', (8, 8), ORANGE).save(path, **({'icc_profile': profile} if profile else {}))
        got[name] = read_image(str(path), 3, (255, 255, 255))[0, 0].astype(int)
    for name in ('plain', 'srgb', 'damaged', 'lab'):
        assert abs(got[name] - ORANGE).max() <= 1, name
    assert got['swapped'][1] > got['swapped'][0] + 50


@pytest.mark.parametrize(
    'flags, message',
    [
        (('--input=/nowhere/x.png',), '/nowhere/x.png'),
        (('--input=/nowhere/*.png',), 'there are no images'),
        (('--checkpoint=/nowhere',), '/nowhere'),
        (('--step=3',), 'no step 3'),
        (('--size=17',), 'multiple of 4'),
        (('--size=original', '--fit=pad'), '--fit=pad has no effect'),
        (('--quality=0',), '--quality=0'),
        (('--tile=7',), 'multiple of 8'),
    ],
)
def test_mistakes_end_in_one_line(workdir, tmp_path, capsys, flags, message):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    assert run(workdir, tmp_path / 'x.png', tmp_path / 'out', *flags) == 2
    err = capsys.readouterr().err
    assert err.startswith('ugatit_jax: ') and err.count('\n') == 1 and message in err
    assert not (tmp_path / 'out').exists()


def test_images_of_other_channels(tmp_path, capsys):
    workdir = write_checkpoint(tmp_path / 'run', data__channels_A=4, data__channels_B=5)
    Image.fromarray(noise_image(16, 20, 4)).save(tmp_path / 'x.png')
    assert run(workdir, tmp_path / 'x.png', tmp_path / 'out') == 0
    made = np.load(tmp_path / 'out' / 'x.npy')
    assert made.shape == (16, 20, 5) and made.dtype == np.uint8
    assert run(workdir, tmp_path / 'out', tmp_path / 'back', direction='b2a') == 0
    assert Image.open(tmp_path / 'back' / 'x.png').mode == 'RGBA'
    assert run(workdir, tmp_path / 'out', tmp_path / 'jpg', '--format=jpg', direction='b2a') == 2
    assert 'transparency' in capsys.readouterr().err
