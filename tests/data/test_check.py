"""python -m ugatit_jax.data.check: its report, its contact sheet, and its exit codes."""

import pytest
from PIL import Image

from tests.helpers.image_files import UGLY, make_folder
from ugatit_jax.data import check


def test_data_set_with_table_and_contact_sheet(tmp_path, capsys):
    make_folder(tmp_path / 'set', {'trainA': 3, 'trainB': 2, 'testB': 1})
    sheet = tmp_path / 'sheet.png'
    assert check.main([str(tmp_path / 'set'), f'--output={sheet}', '--image_size=24']) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ['part', 'files', 'readable', 'bad', 'smallest', 'median', 'largest']
    assert out[1].split() == ['trainA', '3', '3', '0', '24x24', '24x24', '24x24']
    assert [line.split()[0] for line in out[2:4]] == ['trainB', 'testB']
    assert 'warning: trainA has 3 images' in out[4]
    with Image.open(sheet) as image:
        assert image.width > 500
        assert len(image.convert('RGB').getcolors(2**24)) > 100
    assert check.main([str(tmp_path / 'set'), f'--output={sheet}']) == 0  # its own sheet may be replaced


def test_bad_share_decides_the_exit_code(tmp_path, capsys):
    make_folder(tmp_path, {'x': 4})
    (tmp_path / 'x' / '002.png').write_bytes(b'')
    assert check.main([str(tmp_path / 'x')]) == 1
    captured = capsys.readouterr()
    assert 'bad: x/002.png: empty file' in captured.out
    assert '1 of 4 files cannot be used (25.0%), above the limit of 1.0%' in captured.err
    assert check.main([str(tmp_path / 'x'), '--max_bad_fraction=0.25']) == 0


def test_user_mistakes_exit_with_2_and_lose_nothing(tmp_path, capsys):
    make_folder(tmp_path, {'x': 1})
    assert check.main([str(tmp_path / 'nowhere')]) == 2
    assert 'no such folder' in capsys.readouterr().err
    (tmp_path / 'empty').mkdir()
    assert check.main([str(tmp_path / 'empty')]) == 2
    image = tmp_path / 'x' / '000.png'
    before = image.read_bytes()
    assert check.main([str(tmp_path / 'x'), f'--output={image}']) == 2
    assert check.main([str(tmp_path / 'x'), f'--output={tmp_path / "none" / "a.png"}']) == 2
    assert image.read_bytes() == before
    capsys.readouterr()
    assert check.main([str(tmp_path / 'x'), f'--output={tmp_path / "sheet.txt"}']) == 2
    assert 'give it a name that ends with .png' in capsys.readouterr().err and not (tmp_path / 'sheet.txt').exists()
    make_folder(tmp_path / 'set', {'trainA': 1, 'trainB': 1})
    for folder, inside in (('x', 'x'), ('x/', 'x'), ('set', 'set/trainB')):
        assert check.main([str(tmp_path / folder), f'--output={tmp_path / inside / "sheet.png"}']) == 2
        assert f'is inside {tmp_path / inside}, among the images' in capsys.readouterr().err
        assert len(list((tmp_path / inside).iterdir())) == 1
    for share in (5, -0.1, 'nan'):
        assert check.main([str(tmp_path / 'x'), f'--max_bad_fraction={share}']) == 2
        assert f'--max_bad_fraction={share}: it is a share, from 0 to 1' in capsys.readouterr().err


@pytest.mark.skipif(not UGLY.is_dir(), reason='the collection of ugly files is not on this machine')
def test_ugly_folder(tmp_path, capsys):
    assert check.main([str(UGLY), f'--output={tmp_path / "sheet.png"}']) == 1
    captured = capsys.readouterr()
    assert '42        31   11' in captured.out
    for name in ('truncated.jpg', 'zero-byte.jpg', 'one-pixel.png', 'bomb-20000x20000.png', 'lfs-pointer.jpg'):
        assert f'bad: ugly/{name}: ' in captured.out
