"""The command's flags: mistakes in them."""

import pytest
from PIL import Image

from tests.helpers.translation import noise_image, run_translate


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
