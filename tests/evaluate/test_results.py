"""The files of an evaluation: what is in them, and whose files they replace."""

import json

import numpy as np
import pytest

from tests.helpers.browser import be_a_phone, chromium, scrolls_sideways
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate.effnet_weights import EffnetWeights
from ugatit_jax.evaluate.galleries import Row
from ugatit_jax.evaluate.inception_weights import InceptionWeights
from ugatit_jax.evaluate.metrics import MetricValue
from ugatit_jax.evaluate.results import Results, checksum, make_output_folder, table_rows, write_and_print


def test_names_that_are_not_utf8_are_written_escaped(tmp_path):
    row = Row({'output': np.zeros((4, 4, 3), np.uint8)}, 'x\udcff.png')
    Results('T', {'fake': 'f\udcff'}, 'fidelity', None, {}, {}, {}, [], {'Examples': [row]}).write(str(tmp_path))
    assert 'x\\udcff.png' in (tmp_path / 'report.html').read_text()


def test_long_names_do_not_widen_the_page_of_a_phone(tmp_path):
    name = 'without_a_place_to_break' * 6
    row = Row({side: np.zeros((4, 4, 3), np.uint8) for side in ('input', 'output')}, f'{name}.png, distance 1.00')
    results = Results(f'Evaluation of {name}', {'fake': f'/{name}'}, 'fidelity', None, {}, {}, {}, [], {'Examples': [row]})
    results.write(str(tmp_path))
    with chromium() as browser:
        be_a_phone(browser)
        browser.get(f'file://{tmp_path}/report.html')
        assert browser.execute_script('return window.innerWidth') == 390 and not scrolls_sideways(browser)


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
    with pytest.raises(UserError, match='folder cannot be made: Not a directory; name a folder that can be written'):
        make_output_folder(str(tmp_path / 'metrics.json' / 'folder'))


def test_numbers_are_printed_where_they_cannot_be_written(tmp_path, capsys):
    """An evaluation may have taken hours."""
    (tmp_path / 'report.html').mkdir()
    metrics, counts = {'A2B': {'domain_accuracy': MetricValue(0.75)}}, {'A2B': {'fake': 2, 'target': 2}}
    results = Results('T', {}, 'fidelity', None, counts, {}, metrics, [], {})
    with pytest.raises(
        UserError, match=f'{tmp_path} cannot be written: .*report.html is a directory; the numbers are above'
    ):
        write_and_print(results, str(tmp_path))
    out = capsys.readouterr().out
    assert '0.750' in out and 'report: ' not in out


def test_checksums_depend_on_pixels_shapes_and_order():
    a, b = np.zeros((2, 4, 3), np.uint8), np.ones((2, 4, 3), np.uint8)
    assert checksum([a, b]) == checksum(iter([a.copy(), b])) and len(checksum([])) == 64
    assert len({checksum(images) for images in ([a, b], [b, a], [a], [a.reshape(4, 2, 3), b])}) == 4


@pytest.mark.parametrize('real, cell', [(0.9, '0.750'), (0.89, '0.750 (unreliable)')])
def test_domain_accuracy_of_a_weak_classifier_is_marked(real, cell):
    metrics = {'A2B': {'domain_accuracy': MetricValue(0.75), 'domain_accuracy_real': MetricValue(real)}}
    counts = {'A2B': {'fake': 2, 'target': 2}}
    results = Results('T', {'step': '1'}, 'fidelity', None, counts, {}, metrics, [], {})
    assert dict(results.metric_rows())['domain_accuracy'] == [cell]
    assert table_rows('x', results.as_json())[0].endswith(f'| {cell} |')


def test_the_protocol_is_of_the_features_that_there_are():
    inception, effnet = InceptionWeights({}, 'i', '0'), EffnetWeights({}, 'e', '0')
    texts = [
        Results('T', {}, 'clean', weights, {}, {}, {}, [], {}, effnet=other).as_json()['protocol']['what']
        for weights, other in ((inception, None), (inception, effnet), (None, effnet))
    ]
    assert [('clean-fid: Pillow bicubic' in text, 'Lite0 Pillow bilinear to 224x224' in text) for text in texts] == [
        (True, False),
        (True, True),
        (False, True),
    ]
    assert all('KID over 100 random subsets of min(1000, n / 2)' in text for text in texts)
