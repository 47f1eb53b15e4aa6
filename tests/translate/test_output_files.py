"""Names, formats and metadata of results, and which files are never replaced."""

import pytest
from PIL import Image

from tests.helpers.translation import STEP, list_files, noise_image, run_translate


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'webp'])
def test_images_say_that_they_are_synthetic(workdir, tmp_path, suffix):
    exif = Image.Exif()
    exif[0x010F] = 'Camera maker'
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.jpg', exif=exif)
    kept = {}
    for name, flags in (('with', ()), ('without', ('--no_metadata',))):
        assert run_translate(workdir, tmp_path / 'x.jpg', tmp_path / name, f'--format={suffix}', *flags) == 0
        with Image.open(tmp_path / name / f'x.{suffix}') as image:
            assert image.format == {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}[suffix]
            kept[name] = ' '.join(map(str, [*image.info.values(), *image.getexif().values()]))
            assert 'icc_profile' not in image.info
    for text in ('ugatit_jax 0.1.0', f'st step {STEP} ema', 'a2b', 'synthetic'):
        assert text in kept['with'] and text not in kept['without']
    assert 'Camera' not in kept['with'] + kept['without']


def test_names_that_differ_in_their_suffix_keep_it(workdir, tmp_path):
    (tmp_path / 'in').mkdir()
    for name in ('a.jpg', 'a.png', 'b.bmp'):
        Image.fromarray(noise_image(16, 16)).save(tmp_path / 'in' / name)
    assert run_translate(workdir, tmp_path / 'in', tmp_path / 'out') == 0
    assert list_files(tmp_path / 'out') == ['a.jpg.png', 'a.png.png', 'b.png']


def test_existing_results_are_kept_unless_told(workdir, tmp_path, capsys):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'x.png').write_text('precious')
    assert run_translate(workdir, tmp_path / 'x.png', out) == 2
    assert '--overwrite' in capsys.readouterr().err and (out / 'x.png').read_text() == 'precious'
    assert run_translate(workdir, tmp_path / 'x.png', out, '--overwrite') == 0
    assert Image.open(out / 'x.png').size == (16, 16) and list_files(out) == ['x.png']


@pytest.mark.parametrize('flags', [(), ('--overwrite',)])
def test_inputs_are_never_overwritten(workdir, tmp_path, capsys, flags):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    (tmp_path / 'link').symlink_to(tmp_path)
    before = (tmp_path / 'x.png').read_bytes()
    for source, output in (('x.png', ''), ('', ''), ('*.png', 'link')):
        assert run_translate(workdir, tmp_path / source, tmp_path / output, *flags) == 2
        assert (tmp_path / 'x.png').read_bytes() == before
    assert 'overwritten' in capsys.readouterr().err
