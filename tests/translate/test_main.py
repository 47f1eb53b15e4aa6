"""The command's flags: mistakes in them."""

import os

import numpy as np
import pytest
from PIL import Image

from tests.helpers.translation import list_files, noise_image, run_translate
from ugatit_jax.translate.__main__ import main


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
    assert run_translate(workdir, tmp_path / 'x.png', tmp_path / 'out', *flags) == 2
    err = capsys.readouterr().err
    assert err.startswith('ugatit_jax: ') and err.count('\n') == 1 and message in err
    assert not (tmp_path / 'out').exists()


def test_one_image_may_have_a_file_and_a_direction_by_default(workdir, tmp_path, capsys, monkeypatch):
    source = tmp_path / 'x.png'
    Image.fromarray(noise_image(16, 16)).save(source)
    assert run_translate(workdir, source, tmp_path / 'folder') == 0
    capsys.readouterr()
    common = [f'--checkpoint={workdir}', f'--input={source}']
    assert main([*common, f'--output={tmp_path / "new" / "out.png"}', '--strip']) == 0
    assert '--direction=a2b, as none was given; the other is b2a' in capsys.readouterr().err
    assert list_files(tmp_path / 'new') == ['out.png', 'out.strip.png']
    pixels = [np.asarray(Image.open(tmp_path / name)) for name in ('new/out.png', 'folder/x.png')]
    np.testing.assert_array_equal(*pixels)
    assert main([*common, f'--output={tmp_path / "out.webp"}', '--format=png']) == 0
    with Image.open(tmp_path / 'out.webp') as image:
        assert image.format == 'WEBP'
    monkeypatch.chdir(tmp_path)
    assert main([*common, '--output=here.png']) == 0 and (tmp_path / 'here.png').is_file()
    assert main([*common, f'--output={source}']) == 2 and 'no input is overwritten' in capsys.readouterr().err
    assert main([f'--checkpoint={workdir}', f'--input={tmp_path}', f'--output={tmp_path / "o"}']) == 2
    assert '--direction is missing: a2b or b2a' in capsys.readouterr().err
    assert main([f'--checkpoint={workdir}', '--input=absent.png', '--output=o.png']) == 2
    assert '--input=absent.png: there is no such file or folder' in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / 'new')
    assert main([*common, f'--output={source}/o']) == 2 and main([*common, '--output=']) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('ugatit_jax: ')]
    assert lines == [
        f'ugatit_jax: --output={source}/o cannot be made: Not a directory; name a folder that can be written',
        'ugatit_jax: --output= is empty; name a folder that can be written',
    ]
    assert run_translate(workdir, tmp_path, tmp_path / 'all.png') == 2
    assert 'is one image, and --input=' in capsys.readouterr().err and not (tmp_path / 'all.png').exists()
    for output in ('gs://bucket/out', 'gs://bucket/out.png'):  # not a folder named gs: here
        assert main([*common, f'--output={output}']) == 2
        assert f'--output={output}: this command writes to this machine only' in capsys.readouterr().err
    assert not os.path.exists('gs:')
    assert main([*common, '--output=loud.PNG', '--heatmap']) == 0
    assert list_files(tmp_path / 'new') == ['loud.PNG', 'loud.heatmap.PNG', 'out.png', 'out.strip.png']
    assert main([*common, '--output=out.jpeg']) == 2  # not a folder of that name
    assert '--output=out.jpeg: images are written as .png, .jpg, .webp' in capsys.readouterr().err
    assert not os.path.exists('out.jpeg')


def test_inputs_may_be_named_one_by_one(workdir, tmp_path):
    for name in 'ab':
        Image.fromarray(noise_image(16, 16)).save(tmp_path / f'{name}.png')
    flags = [f'--checkpoint={workdir}', *(f'--input={tmp_path}/{name}.png' for name in 'ab'), '--direction=a2b']
    assert main([*flags, f'--output={tmp_path}/out']) == 0
    assert list_files(tmp_path / 'out') == ['a.png', 'b.png']
