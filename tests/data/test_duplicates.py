"""Images that are in a data set twice."""

import shutil

import numpy as np
import pytest
from PIL import Image

from tests.helpers.image_files import encoded, make_folder, smooth
from ugatit_jax.data.check import check, open_folders
from ugatit_jax.data.duplicates import duplicate_warnings
from ugatit_jax.data.scan import NEAR_DUPLICATE_BITS, close_to, scan


def warnings_of(path):
    sources = open_folders(str(path), 3)
    return duplicate_warnings(sources, {split: scan(source) for split, source in sources.items()})


def test_images_of_both_domains_and_copies_are_named(tmp_path):
    root = make_folder(tmp_path / 'set', {'trainA': 6, 'trainB': 5, 'testA': 2, 'testB': 2}, side=48)
    assert warnings_of(root) == []
    shutil.copy(root / 'trainA' / '001.png', root / 'testB' / 'moved.png')
    with Image.open(root / 'trainA' / '002.png') as image:  # smaller and saved again
        image.resize((32, 32)).save(root / 'trainB' / 'small.jpg', quality=90)
    for name in ('copy.png', 'second_copy.png'):
        shutil.copy(root / 'trainB' / '003.png', root / 'trainB' / name)
    both, twice = warnings_of(root)
    assert both.startswith('2 images (1 with the same pixels, 1 alike by a perceptual hash) in A are in B, too')
    assert 'trainA/002.png ~ trainB/small.jpg' in both and 'trainA/001.png = testB/moved.png' in both
    assert twice.startswith('trainB: 2 images (2 with the same pixels, 0 alike by a perceptual hash) are there twice')
    assert 'trainB/003.png = trainB/copy.png, trainB/003.png = trainB/second_copy.png' in twice
    report, refused = check(str(root))
    assert f'warning: {both}' in report and not refused


def test_flat_images_are_no_duplicates_of_each_other(tmp_path):
    for split, value in (('trainA', 10), ('trainB', 20)):
        (tmp_path / split).mkdir()
        for name in 'xy':
            (tmp_path / split / f'{name}.png').write_bytes(encoded(smooth(24, 24) * 0 + value))
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize('bits, close', [(NEAR_DUPLICATE_BITS, True), (NEAR_DUPLICATE_BITS + 1, False)])
def test_hashes_are_close_up_to_a_number_of_bits(bits, close):
    one = np.zeros(4, np.uint64)
    other = np.array([[0, 2**bits - 1, 0, 0]], np.uint64)
    assert close_to(one, other).tolist() == [close]
