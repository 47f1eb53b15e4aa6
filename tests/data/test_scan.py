"""The scan of a data set: unreadable files, its cache, common mistakes."""

import json
import os

import pytest
from PIL import Image

from tests.helpers.image_files import encoded, make_folder, smooth
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import scan
from ugatit_jax.data.sources.folder import FolderSource


@pytest.fixture
def folder(tmp_path):
    make_folder(tmp_path / 'set', {'trainA': 20})
    return tmp_path / 'set' / 'trainA'


def run(folder):
    return scan.scan(FolderSource(str(folder), 3))


def test_bad_files_are_named_with_reasons_and_left_out(folder, caplog):
    (folder / '005.png').write_bytes(b'')
    (folder / '007.png').write_bytes(encoded(smooth(24, 24))[:-80])
    report = run(folder)
    assert [name for name, _ in report.bad] == ['005.png', '007.png']
    assert report.bad[0][1] == 'empty file'
    assert report.bad[1][1].startswith('damaged')
    assert len(report.good) == 18
    assert '005.png' not in report.keys
    scan.validate_bad_fraction(report, 0.1)
    assert 'left out 005.png: empty file' in caplog.text
    assert 'continues with 18 of 20' in caplog.text
    with pytest.raises(
        UserError, match=r'2 of 20 files.*10\.0%.*max_bad_fraction=0\.09.*005\.png: empty file; 007\.png: damaged'
    ):
        scan.validate_bad_fraction(report, 0.09)


def test_refusal_names_the_first_ones_only(folder):
    for path in list(folder.iterdir())[:15]:
        path.write_bytes(b'')
    with pytest.raises(UserError, match='and 5 more') as error:
        scan.validate_bad_fraction(run(folder), 0.5)
    assert '\n' not in str(error.value)


def test_nothing_readable_is_refused_whatever_the_share(folder):
    for path in folder.iterdir():
        path.write_bytes(b'')
    with pytest.raises(UserError, match='20 of 20'):
        scan.validate_bad_fraction(run(folder), 1.0)


def test_second_scan_reads_only_what_changed(folder):
    first = run(folder)
    assert first.read == 20
    second = run(folder)
    assert second.read == 0
    assert (second.good, second.probes, second.keys) == (first.good, first.probes, first.keys)
    (folder / '003.png').write_bytes(b'')
    (folder / 'new.png').write_bytes(encoded(smooth(30, 40)))
    (folder / '004.png').unlink()
    third = run(folder)
    assert third.read == 2
    assert third.bad == [('003.png', 'empty file')]
    assert (third.probes[-1].width, third.probes[-1].height) == (40, 30)
    assert '004.png' not in third.keys
    (folder / '003.png').write_bytes(encoded(smooth(8, 8)))
    assert run(folder).bad == []


def test_same_size_but_another_time_is_read_again(folder):
    run(folder)
    os.utime(folder / '003.png', ns=(1, 1))
    assert run(folder).read == 1


@pytest.mark.parametrize('content', ['', '{', '[]', '{"000.png": 3}', '{"000.png": ["a"]}', '\x00'])
def test_a_damaged_cache_is_replaced(folder, content, caplog):
    run(folder)
    path = scan.cache_path(f'folder:{folder}')
    assert json.loads(path.read_text())
    path.write_text(content)
    assert run(folder).read == 20
    assert 'reading all images again' in caplog.text
    assert run(folder).read == 0


def test_a_cache_that_cannot_be_written_is_said(folder, tmp_path, monkeypatch, caplog):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    assert len(run(folder).good) == 20
    assert 'the scan is not cached' in caplog.text


def test_cache_follows_the_folder_not_the_spelling(folder, monkeypatch):
    run(folder)
    monkeypatch.chdir(folder.parent)
    assert run('trainA').read == 0


def test_undecodable_names_are_printed_escaped(folder):
    with open(os.fsencode(folder) + b'/caf\xe9.png', 'wb') as file:
        file.write(b'')
    report = run(folder)
    with pytest.raises(UserError, match=r'caf\\udce9\.png') as error:
        scan.validate_bad_fraction(report, 0.0)
    str(error.value).encode()
    assert run(folder).read == 0


def test_common_mistakes(tmp_path):
    make_folder(tmp_path, {'trainA': 60, 'trainB': 5, 'testA': 3})
    (tmp_path / 'trainA' / 'copy.jpg').write_bytes(
        encoded(smooth(24, 24, seed=2001), 'JPEG', quality=90)  # testA/001.png
    )
    reports = {split: run(tmp_path / split) for split in ('trainA', 'trainB', 'testA')}
    warnings = '\n'.join(scan.common_mistakes(reports, 32))
    assert 'trainB has 5 images: with fewer than 50 the networks overfit' in warnings
    assert 'trainA has 61 images and trainB 5: one is more than 10 times' in warnings
    assert 'trainA: 61 of 61 images have a side below data.image_size=32 (the smallest has 24)' in warnings
    assert 'testA: 1 images are near duplicates of images in trainA (copy.jpg = 001.png)' in warnings
    assert 'trainA has 61 images: with' not in warnings
    assert not any('below' in warning for warning in scan.common_mistakes(reports, 24))


def test_images_of_several_frames_are_named(tmp_path):
    make_folder(tmp_path, {'trainA': 2})
    frames = [Image.new('RGB', (24, 24), colour) for colour in ('red', 'lime')]
    frames[0].save(tmp_path / 'trainA' / 'wave.gif', save_all=True, append_images=frames[1:])
    for _ in range(2):  # the second time from the cache
        warnings = scan.common_mistakes({'trainA': run(tmp_path / 'trainA')}, 24)
        assert 'trainA: 1 of 3 images have several frames (wave.gif): the first is used' in warnings


def test_flat_images_are_no_duplicates(tmp_path):
    for name, value in (('a', 0), ('b', 255)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'x.png').write_bytes(encoded(smooth(24, 24) * 0 + value))
    assert scan.near_duplicates(run(tmp_path / 'a'), run(tmp_path / 'b')) == []


def test_another_number_of_channels_is_another_question(folder):
    assert len(scan.scan(FolderSource(str(folder), 2)).bad) == 20  # an image has no 2 channels
    assert run(folder).bad == []
