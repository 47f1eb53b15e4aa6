"""The files of an evaluation: what is in them, and whose files they replace."""

import json

import numpy as np
import pytest

from ugatit_jax.errors import UserError
from ugatit_jax.evaluate.galleries import Row
from ugatit_jax.evaluate.results import Results, checksum, make_output_folder


def test_names_that_are_not_utf8_are_written_escaped(tmp_path):
    row = Row({'output': np.zeros((4, 4, 3), np.uint8)}, 'x\udcff.png')
    Results('T', {'fake': 'f\udcff'}, 'fidelity', None, {}, {}, {}, [], {'Examples': [row]}).write(str(tmp_path))
    assert 'x\\udcff.png' in (tmp_path / 'report.html').read_text()


def test_only_evaluations_are_replaced(tmp_path):
    make_output_folder(str(tmp_path / 'new' / 'folder'))
    (tmp_path / 'new' / 'folder' / 'report.html').write_text('of someone else')
    with pytest.raises(UserError, match='report.html exists and is no earlier evaluation'):
        make_output_folder(str(tmp_path / 'new' / 'folder'))
    Results('T', {}, 'fidelity', None, {}, {}, {}, [], {}).write(str(tmp_path))
    make_output_folder(str(tmp_path))
    (tmp_path / 'metrics.json').write_text(json.dumps({'made_by': 'another program'}))
    with pytest.raises(UserError, match='metrics.json exists'):
        make_output_folder(str(tmp_path))
    with pytest.raises(UserError, match='cannot be made'):
        make_output_folder(str(tmp_path / 'metrics.json' / 'folder'))


def test_checksums_depend_on_pixels_shapes_and_order():
    a, b = np.zeros((2, 4, 3), np.uint8), np.ones((2, 4, 3), np.uint8)
    assert checksum([a, b]) == checksum(iter([a.copy(), b])) and len(checksum([])) == 64
    assert len({checksum(images) for images in ([a, b], [b, a], [a], [a.reshape(4, 2, 3), b])}) == 4
