"""Names, formats and metadata of results, and which files are never replaced."""

import os

import pytest
from PIL import Image

from tests.helpers.translation import STEP, list_files, noise_image, run_translate
from ugatit_jax.common.process import this_process


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
    assert 'x.png exists; --overwrite replaces it,' in capsys.readouterr().err and (out / 'x.png').read_text() == 'precious'
    assert run_translate(workdir, tmp_path / 'x.png', out, '--overwrite') == 0
    assert Image.open(out / 'x.png').size == (16, 16) and list_files(out) == ['x.png']


@pytest.mark.parametrize('flags', [(), ('--overwrite',)])
def test_inputs_are_never_overwritten(workdir, tmp_path, capsys, flags):
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'x.png')
    (tmp_path / 'link').symlink_to(tmp_path)
    for folder in ('hard', 'soft'):
        (tmp_path / folder).mkdir()
    os.link(tmp_path / 'x.png', tmp_path / 'hard' / 'x.png')
    (tmp_path / 'soft' / 'x.png').symlink_to(tmp_path / 'x.png')
    before = (tmp_path / 'x.png').read_bytes()
    for source, output, message in (
        ('x.png', '', 'overwritten'),
        ('', '', 'is the input folder'),
        ('*.png', 'link', 'no images but the results'),
        ('x.png', 'link', 'overwritten'),
        ('x.png', 'hard', 'overwritten'),
        ('x.png', 'soft', 'overwritten'),
    ):
        assert run_translate(workdir, tmp_path / source, tmp_path / output, *flags) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1 and message in error, error
        assert (tmp_path / 'x.png').read_bytes() == before and (tmp_path / 'hard' / 'x.png').samefile(tmp_path / 'x.png')


def test_nothing_is_written_outside_of_the_output_folder(workdir, tmp_path, capsys, monkeypatch):
    """A pattern may go up again behind a wildcard."""
    for name in ('in/sub', 'gb', 'out'):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(noise_image(16, 16)).save(tmp_path / 'gb' / 'x.png')
    monkeypatch.chdir(tmp_path / 'in')
    before = list_files(tmp_path)
    for pattern in ('sub*/../../gb/*.png', '*/../../gb/*.png'):
        assert run_translate(workdir, pattern, tmp_path / 'out', '--overwrite') == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1 and 'would be outside of' in error, error
        assert list_files(tmp_path) == before
    assert run_translate(workdir, '../in/../gb/*.png', tmp_path / 'out') == 0  # what goes up before it stays inside
    assert list_files(tmp_path / 'out') == ['x.png']


def test_what_exists_is_skipped_if_told(workdir, tmp_path, capsys):
    """Complete results stay, incomplete ones, of which a file is missing, are made again; the page has all of them."""
    (tmp_path / 'in').mkdir()
    for name in 'abc':
        Image.fromarray(noise_image(16, 16, seed=ord(name))).save(tmp_path / 'in' / f'{name}.png')
    out, flags = tmp_path / 'out', ('--heatmap', '--compare')
    assert run_translate(workdir, tmp_path / 'in', out, *flags) == 0
    whole = {name: (out / name).read_bytes() for name in list_files(out)}
    Image.fromarray(noise_image(16, 16)).save(out / 'a.png')
    kept = (out / 'a.png').read_bytes()
    (out / 'b.heatmap.png').unlink()
    (out / 'c.png').unlink()
    (out / 'index.html').unlink()
    dead = f'.{this_process().machine}-999999999-1-0123abcd.partial'  # as a killed process leaves it
    (out / dead).write_text('half')
    capsys.readouterr()
    assert run_translate(workdir, tmp_path / 'in', out, '--skip_existing', *flags) == 0
    assert '2 of 3 translated' in (printed := capsys.readouterr().out) and '1 were there already' in printed
    assert list_files(out) == sorted(whole)  # and no .partial
    found = {name: (out / name).read_bytes() for name in whole}
    assert found.pop('a.png') == kept and found.pop('index.html').count(b'<img') == 9
    assert found == {name: whole[name] for name in found}
    assert run_translate(workdir, tmp_path / 'in', out, '--skip_existing', *flags) == 0
    assert '0 of 3 translated' in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run_translate(workdir, tmp_path / 'in', out, '--skip_existing', '--overwrite')
