"""Runs over files: results, failures and the page of one call of the command."""

import numpy as np
import pytest
from PIL import Image

import ugatit_jax
from tests.helpers.translation import list_files, noise_image, run_translate, write_checkpoint
from ugatit_jax.report.drawing import HEADER


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


def test_of_an_animation_the_first_frame_is_translated_and_said(workdir, tmp_path, capsys):
    frames = [Image.fromarray(noise_image(16, 16, seed=seed)) for seed in (1, 2, 3)]
    frames[0].save(tmp_path / 'wave.gif', save_all=True, append_images=frames[1:])
    assert run_translate(workdir, tmp_path / 'wave.gif', tmp_path / 'out') == 0
    assert 'wave.gif: the first of 3 frames; as a film, such as an .mp4, all are translated' in capsys.readouterr().err
    assert list_files(tmp_path / 'out') == ['wave.png']


def test_a_folder_with_bad_files(workdir, folder, tmp_path, capsys):
    before = {name: (folder / name).read_bytes() for name in list_files(folder)}
    assert run_translate(workdir, folder, tmp_path / 'out', '--heatmap', '--strip', '--compare') == 1
    printed = capsys.readouterr()
    assert '2 of 4 translated' in printed.out and '2 of 4 files could not be translated' in printed.err
    assert 'compiling the generator for 1 x 16x16 pixels' in printed.err  # on a CPU one image is a batch
    assert 'bad.png: ' in printed.err and "below/text.jpg: not an image but text: 'no image either'" in printed.err
    assert list_files(tmp_path / 'out') == sorted(
        ['index.html'] + [f'{name}{end}.png' for name in ('a b', 'below/猫') for end in ('', '.heatmap', '.strip')]
    )
    with Image.open(tmp_path / 'out' / 'a b.png') as made, Image.open(tmp_path / 'out' / 'a b.strip.png') as strip:
        assert made.size == (24, 16) and strip.size == (24, 4 * (16 + HEADER))
        labels, parts = np.split(np.asarray(strip).reshape(4, 16 + HEADER, 24, 3), [HEADER], axis=1)
        np.testing.assert_array_equal(parts[2], np.asarray(made))
        np.testing.assert_array_equal(parts[0], np.asarray(Image.open(folder / 'a b.jpg')))
        np.testing.assert_array_equal(parts[1], np.asarray(Image.open(tmp_path / 'out' / 'a b.heatmap.png')))
        assert len({label.tobytes() for label in labels}) == 4  # each part has a name of its own
    html = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert html.count('<img') == 6 and html.count('src="data:image/jpeg;base64,') == 6 and html.count('generator looks') == 2
    assert 'below/<wbr>猫.<wbr>png' in html
    assert 'http' not in html
    assert {name: (folder / name).read_bytes() for name in list_files(folder)} == before


def test_results_are_those_of_the_api(workdir, tmp_path):
    images = {f'{i}.png': noise_image(16, 16, seed=i) for i in range(3)} | {'wide.png': noise_image(16, 20)}
    (tmp_path / 'in').mkdir()
    for name, pixels in images.items():
        Image.fromarray(pixels).save(tmp_path / 'in' / name)
    assert (
        run_translate(workdir, tmp_path / 'in', tmp_path / 'out', '--size=original', '--batch_size=2', '--weights=raw') == 0
    )
    translator = ugatit_jax.load(workdir, weights='raw')
    for name, pixels in images.items():
        made = np.asarray(Image.open(tmp_path / 'out' / name)).astype(int)
        assert abs(made - translator(pixels, size='original')).max() <= 1, name


def test_images_of_other_channels(tmp_path, capsys):
    workdir = write_checkpoint(tmp_path / 'run', data__channels_A=4, data__channels_B=5)
    Image.fromarray(noise_image(16, 20, 4)).save(tmp_path / 'x.png')
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out') == 0
    made = np.load(tmp_path / 'out' / 'x.npy')
    assert made.shape == (16, 20, 5) and made.dtype == np.uint8
    assert run_translate(workdir, tmp_path / 'out', tmp_path / 'back', direction='b2a') == 0
    assert Image.open(tmp_path / 'back' / 'x.png').mode == 'RGBA'
    assert run_translate(workdir, tmp_path / 'out', tmp_path / 'jpg', '--format=jpg', direction='b2a') == 2
    assert 'transparency' in capsys.readouterr().err
