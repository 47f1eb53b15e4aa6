"""What a run writes down."""
import json

import pytest
from etils import epath

from ugatit_jax.report import Reporter, duration, forget_after


def test_lines_after_the_restored_step_and_half_lines_are_dropped(tmp_path):
    path = epath.Path(tmp_path) / 'metrics.jsonl'
    path.write_text(''.join(f'{{"step": {step}}}\n' for step in (10, 20, 30)) + '\nnot JSON\n{"step": 40, "D"')
    forget_after(path, 20)
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n'
    forget_after(epath.Path(tmp_path) / 'none.jsonl', 20)


def test_rows_have_an_integer_step_and_the_rate(tmp_path):
    reporter = Reporter(str(tmp_path), 0, 10, batch_size=4)
    reporter.log(5, dict.fromkeys(('D_A', 'D_B', 'G_A', 'G_B'), 0.5))
    reporter.close()
    row = json.loads((tmp_path / 'metrics.jsonl').read_text())
    assert row['step'] == 5 and isinstance(row['step'], int) and row['G_A'] == 0.5 and row['images_per_second'] > 0
    assert list(tmp_path.glob('events.out.tfevents.*'))


def test_other_processes_write_nothing(tmp_path):
    reporter = Reporter(str(tmp_path), 0, 10, batch_size=4, active=False)
    reporter.log(5, {'D_A': 1.0})
    reporter.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('seconds, text', [(5.9, '00:00:05'), (3_723, '01:02:03'), (90_061, '1d 01:01:01')])
def test_duration(seconds, text):
    assert duration(seconds) == text
