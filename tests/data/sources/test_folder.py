"""Folders of images: names, order, links, and what is left out."""

import os

import numpy as np
import pytest

from tests.helpers.image_files import encoded, make_folder, smooth
from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.sources.folder import FolderSource, list_folder, split_folder
from ugatit_jax.data.sources.splits import MissingSplit


def test_lists_nested_folders_sorted_without_junk(tmp_path, caplog):
    names = [
        'b.png',
        'a.jpg',
        'deep/er/c',
        'photo.jpg/inside.png',
        '猫 (1).jpg',
        '-dash.jpg',
        'UPPER.JPEG',
        'page.html',
    ]
    junk = [
        '.DS_Store',
        '._a.jpg',
        'Thumbs.db',
        'desktop.ini',
        '.git/x.png',
        '__MACOSX/b.png',
        'notes.txt',
        'labels.csv',
    ]
    for name in names + junk:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    with caplog.at_level('INFO'):
        assert [key for key, _ in list_folder(str(tmp_path))] == sorted(names)
    assert '1 .csv, 1 .txt' in caplog.text


def test_reads_by_content_and_notices_changes(tmp_path):
    pixels = smooth(9, 8)
    (tmp_path / 'x.jpg').write_bytes(encoded(pixels, 'PNG'))
    source = FolderSource(str(tmp_path), 3)
    np.testing.assert_array_equal(source.read(0), pixels)
    before = source.fingerprint(), source.stamp(0)
    os.utime(tmp_path / 'x.jpg', ns=(1, 1))
    after = FolderSource(str(tmp_path), 3)
    assert after.stamp(0) != before[1]
    assert after.fingerprint() != before[0]
    assert FolderSource(str(tmp_path), 1).fingerprint() != after.fingerprint()


def test_what_is_no_file_is_named_and_never_opened(tmp_path):
    (tmp_path / 'dangling.jpg').symlink_to('/nonexistent')
    os.mkfifo(tmp_path / 'pipe.jpg')  # opening it would wait for ever
    (tmp_path / 'loop').symlink_to(tmp_path)
    source = FolderSource(str(tmp_path), 3)
    assert source.keys == ['dangling.jpg', 'pipe.jpg']
    for i, reason in enumerate(['dangling link', 'pipe']):
        for read in (source.read, source.probe):
            with pytest.raises(DecodeError, match=reason):
                read(i)


def test_a_file_that_is_gone_is_a_decode_error(tmp_path):
    make_folder(tmp_path, {'trainA': 1})
    source = FolderSource(str(tmp_path / 'trainA'), 3)
    (tmp_path / 'trainA' / '000.png').unlink()
    with pytest.raises(DecodeError, match='No such file'):
        source.read(0)


def test_names_that_are_no_utf8(tmp_path):
    raw = os.fsencode(tmp_path) + b'/caf\xe9.png'
    with open(raw, 'wb') as file:
        file.write(encoded(smooth(4, 4)))
    source = FolderSource(str(tmp_path), 3)
    assert source.read(0).shape == (4, 4, 3)
    assert len(source.fingerprint()) == 64


def test_missing_folders_say_what_is_there(tmp_path):
    with pytest.raises(UserError, match='no such folder.*trainA and trainB.*synthetic:faces'):
        split_folder(str(tmp_path / 'nowhere'), 'trainA')
    make_folder(tmp_path, {'train_A': 1, 'trainB': 1})
    with pytest.raises(MissingSplit, match='no trainA in it, there is trainB, train_A;'):
        split_folder(str(tmp_path), 'trainA')
    (tmp_path / 'testA').mkdir()
    with pytest.raises(MissingSplit, match='holds no images'):
        FolderSource(str(tmp_path / 'testA'), 3)


def test_remote_listing_equals_the_local_one(tmp_path, monkeypatch):
    make_folder(tmp_path, {'x/y': 3, 'z': 2})
    (tmp_path / '.DS_Store').write_bytes(b'x')
    (tmp_path / 'notes.txt').write_bytes(b'x')
    local = [key for key, _ in list_folder(str(tmp_path))]
    monkeypatch.setattr('ugatit_jax.data.sources.folder.is_remote', lambda path: True)
    source = FolderSource(str(tmp_path), 3)
    assert source.keys == local
    assert source.read(0).shape == (24, 24, 3)
    (tmp_path / local[0]).unlink()
    with pytest.raises(DecodeError):
        source.read(0)
