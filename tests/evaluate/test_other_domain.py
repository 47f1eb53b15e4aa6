"""Images in the wrong domain."""

import numpy as np
import pytest

from tests.helpers.image_files import encoded, smooth
from ugatit_jax.data.check import main
from ugatit_jax.evaluate import classifier


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    """Enough steps for colours."""
    monkeypatch.setattr(classifier, 'STEPS', 150)


def write(path, seed, red):
    """A smooth image, reddish or bluish."""
    pixels = smooth(32, 32, seed) // 2
    pixels[..., 0 if red else 2] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(pixels.astype(np.uint8)))


def test_check_names_images_of_the_other_domain(tmp_path, capsys):
    for i in range(24):
        write(tmp_path / 'set' / 'trainA' / f'{i:02d}.png', i, red=i not in (3, 10))
        write(tmp_path / 'set' / 'trainB' / f'{i:02d}.png', 100 + i, red=False)
    write(tmp_path / 'set' / 'testB' / 'odd.png', 300, red=True)
    assert main([str(tmp_path / 'set'), '--image_size=32', '--max_bad_fraction=0']) == 0
    found = [line for line in capsys.readouterr().out.splitlines() if 'to be of' in line]
    assert [line.partition(' to be')[0] for line in found] == ['warning: 2 images seem', 'warning: 1 image seems']
    assert 'trainA/03.png' in found[0] and 'trainA/10.png' in found[0] and found[0].count('.png') == 2
    assert found[1].endswith('look at testB/odd.png')


def test_domains_that_cannot_be_told_apart_are_said(tmp_path, capsys):
    for i in range(16):
        write(tmp_path / 'set' / 'trainA' / f'{i:02d}.png', i, red=True)
        write(tmp_path / 'set' / 'trainB' / f'{i:02d}.png', 100 + i, red=True)
    assert main([str(tmp_path / 'set'), '--image_size=32']) == 0
    out = capsys.readouterr().out
    assert 'which of them are of the other domain cannot be said' in out and 'to be of' not in out
    assert main([str(tmp_path / 'set'), '--image_size=32', '--no-other_domain']) == 0
    assert 'a small classifier' not in capsys.readouterr().out
