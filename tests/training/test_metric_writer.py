"""What a run writes down."""

import json
import time
import types

import jax
import numpy as np
import pytest
from etils import epath
from PIL import Image

from configs import default
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve
from ugatit_jax.report import history
from ugatit_jax.report.history import duration
from ugatit_jax.training import metric_writer
from ugatit_jax.training.metric_writer import MetricWriter, RunProgress, device_memory, drop_rows_after

TERMS = dict.fromkeys(('D_A', 'D_B', 'G_A', 'G_B'), 0.5)


def small_config():
    """A resolved config of ten steps of four images."""
    config = default.get_config()
    config.data.batch_size, config.training.steps = 4, 10
    return resolve(config)


def test_an_event_after_half_a_line_is_not_lost(tmp_path):
    history.append(str(tmp_path), 0, 'started')
    with (tmp_path / 'history.jsonl').open('a') as file:
        file.write('{"step": 3, "ev')
    history.append(str(tmp_path), 2, 'resumed')
    assert [(row['step'], row['event']) for row in history.read(str(tmp_path))] == [(0, 'started'), (2, 'resumed')]


def test_lines_after_the_restored_step_and_half_lines_are_dropped(tmp_path):
    path = epath.Path(tmp_path) / 'metrics.jsonl'
    path.write_text(''.join(f'{{"step": {step}}}\n' for step in (10, 20, 30)) + '\nnot JSON\n{"step": 40, "D"')
    drop_rows_after(path, 20)
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n'
    drop_rows_after(epath.Path(tmp_path) / 'none.jsonl', 20)


DAMAGE = [
    b'\xff\xfe',
    b'{"step": null}',
    b'{"step": "x"}',
    b'{"step": NaN}',
    b'{"step": 1e999}',
    b'{"step": 99999999999999}',
    b'{"stp": 3}',
    b'[3]',
    b'null',
    b'3',
    b'[' * 100_000,
    b'{"step": ' + b'9' * 5000 + b'}',
    b'{"step": 2, "D": 0.1\x00}',
]


@pytest.mark.parametrize('name', ['metrics.jsonl', 'evaluation.jsonl', 'history.jsonl'])
def test_damaged_lines_are_dropped_and_counted(tmp_path, name, caplog):
    good = [json.dumps({'step': step, 'time': 1.0, 'event': 'went back', 'D_A': 0.5}) for step in (1, 2, 3)]
    lines = [good[0].encode(), *DAMAGE, good[1].encode(), good[2].encode()[:-3]]
    (tmp_path / name).write_bytes(b'\n'.join(lines))
    with MetricWriter(str(tmp_path), RunProgress(2, 10), small_config()):
        pass
    kept = (tmp_path / name).read_text().splitlines()
    assert kept[:2] == good[:2] and all(json.loads(line)['event'] != 'went back' for line in kept[2:])
    assert f'{tmp_path / name}: dropped {len(DAMAGE) + 1} damaged lines' in caplog.text
    assert 'finished: step' in (tmp_path / 'report.html').read_text()
    caplog.clear()
    with MetricWriter(str(tmp_path), RunProgress(2, 10), small_config()):
        pass
    assert 'damaged' not in caplog.text


@pytest.mark.parametrize('line', ['{"step": 1, "event": 5}', '{"step": 1, "event": "x", "config": [1]}', '{"step": 1}'])
def test_events_without_what_readers_rely_on_are_damaged(tmp_path, line, caplog):
    history.append(str(tmp_path), 1, 'started')
    with (tmp_path / 'history.jsonl').open('a') as file:
        file.write(line + '\n')
    assert len(history.read(str(tmp_path))) == 1
    history.drop_damaged(str(tmp_path))
    assert len((tmp_path / 'history.jsonl').read_text().splitlines()) == 1 and 'dropped 1 damaged' in caplog.text


def test_what_was_wrong_with_newer_checkpoints_is_an_event(tmp_path):
    with MetricWriter(str(tmp_path), RunProgress(3, 10), small_config(), damaged=['5 is damaged: renamed']):
        pass
    events = history.read(str(tmp_path))
    assert [event['event'] for event in events] == ['resumed', 'went back', 'finished']
    assert events[1]['to'] == 3 and events[1]['reason'] == '5 is damaged: renamed'
    assert '5 is damaged: renamed' in (tmp_path / 'report.html').read_text()


def test_rows_have_an_integer_step_and_the_rate(tmp_path):
    progress = RunProgress(0, 10)
    with MetricWriter(str(tmp_path), progress, small_config()) as writer:
        writer.start_clock()
        with writer.waiting():
            time.sleep(0.3)
        time.sleep(0.1)
        progress.step = 5
        writer.log(TERMS)
        writer.log_preview(Image.new('RGB', (8, 8)), {'genA2B/up_norm_0': np.linspace(0, 1, 12)})
        time.sleep(0.01)
        progress.step = 10
        writer.log(TERMS)
    row, later = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert row['step'] == 5 and isinstance(row['step'], int) and row['G_A'] == 0.5 and row['images_per_second'] > 0
    assert 0.3 < row['data_wait'] < 1 and later['data_wait'] == 0
    assert [event['event'] for event in history.read(str(tmp_path))] == ['started', 'finished']
    assert 'finished: step 10 of 10' in (tmp_path / 'report.html').read_text()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path)).Reload()
    assert {'D_A', 'data_wait', 'images_per_second', 'preview', 'rho/genA2B/up_norm_0'} <= set(board.Tags()['tensors'])


def test_a_run_that_fails_says_why(tmp_path):
    progress = RunProgress(0, 10)
    with pytest.raises(UserError), MetricWriter(str(tmp_path), progress, small_config()) as writer:
        progress.step = 5
        writer.log(TERMS)
        raise UserError('step 6: G_A is nan\nand more')
    end = history.read(str(tmp_path))[-1]
    assert end['event'] == 'stopped' and end['step'] == 5 and end['reason'] == 'step 6: G_A is nan'
    with pytest.raises(KeyboardInterrupt), MetricWriter(str(tmp_path), RunProgress(5, 10), small_config()):
        raise KeyboardInterrupt
    assert [event['event'] for event in history.read(str(tmp_path))] == ['started', 'stopped', 'resumed', 'stopped']
    assert history.read(str(tmp_path))[-1]['reason'] == 'by hand'
    assert 'stopped: step 5 of 10' in (tmp_path / 'report.html').read_text()


def test_memory_of_the_fullest_device(monkeypatch):
    def devices(*stats):
        monkeypatch.setattr(jax, 'local_devices', lambda: [types.SimpleNamespace(memory_stats=lambda s=s: s) for s in stats])

    devices({'bytes_in_use': 5, 'peak_bytes_in_use': 9}, {'bytes_in_use': 7, 'peak_bytes_in_use': 8, 'num_allocs': 3})
    assert device_memory() == {'bytes_in_use': 7, 'peak_bytes_in_use': 9}
    devices({'bytes_in_use': 5})
    assert device_memory() == {'bytes_in_use': 5}
    devices(None, None)
    assert device_memory() == {}


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, 'process_index', lambda: 1)
    with MetricWriter(str(tmp_path), RunProgress(0, 10), small_config()) as writer:
        writer.log({'D_A': 1.0})
        writer.log_evaluation({'kid': 1.0})
        writer.log_preview(Image.new('RGB', (8, 8)), {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('seconds, text', [(5.9, '00:00:05'), (3_723, '01:02:03'), (90_061, '1d 01:01:01')])
def test_duration(seconds, text):
    assert duration(seconds) == text


def console(caplog, steps_of_metrics, seconds, monkeypatch, tmp_path):
    """Lines of 10 steps that take `seconds`, the first one three times that; all have these metrics, the 5th is logged."""
    now = [0.0]
    caplog.set_level('INFO')
    with MetricWriter(str(tmp_path), (progress := RunProgress(0, 10)), small_config()) as writer:
        monkeypatch.setattr(metric_writer.time, 'monotonic', lambda: now[0])
        writer.start_clock()
        for step in range(1, 11):
            now[0] += seconds if step > 1 else 3 * seconds
            progress.step = step
            (writer.log if step == 5 else writer.step_done)(steps_of_metrics)
    return [message for message in caplog.messages if message.startswith('step ')]


def test_the_terminal_has_unweighted_terms_and_the_time_left_from_the_first_step_on(tmp_path, caplog, monkeypatch):
    metrics = {'D_ad_GA': np.float32(0.25), 'D_ad_LB': jax.numpy.float32(0.75), 'G_recon_A': 0.3, 'G_A': 1349.999}
    lines = console(caplog, metrics, 2.0, monkeypatch, tmp_path)
    assert lines == [
        'step 1/10  D_ad 0.500 G_recon 0.300  took 6.0 s',
        'step 5/10  D_ad 0.500 G_recon 0.300  2.00 images/s  10 s left',
    ]
    assert [json.loads(line)['G_A'] for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()] == [1349.999]


def test_the_terminal_is_not_silent_for_longer_than_a_minute(tmp_path, caplog, monkeypatch):
    lines = console(caplog, TERMS, 40.0, monkeypatch, tmp_path)
    assert [line.split()[1] for line in lines] == ['1/10', '2/10', '4/10', '5/10', '7/10', '9/10']
    assert lines[:2] == ['step 1/10    took 2 min', 'step 2/10    0.10 images/s  5 min left']


@pytest.mark.parametrize('real, mark', [(0.89, ' (unreliable)'), (0.9, '')])
def test_domain_accuracy_is_marked_where_its_classifier_is_not_reliable(tmp_path, caplog, real, mark):
    caplog.set_level('INFO')
    with MetricWriter(str(tmp_path), RunProgress(0, 10), small_config()) as writer:
        writer.log_evaluation({'domain_accuracy': 0.5, 'domain_accuracy_A2B': 0.5, 'domain_accuracy_real': real})
    assert f'evaluated  domain_accuracy 0.5{mark} domain_accuracy_real {real}' in caplog.text


def test_a_terminal_has_a_bar_with_the_terms(tmp_path, caplog, capsys, monkeypatch):
    caplog.set_level('INFO')
    monkeypatch.setattr(metric_writer.sys.stderr, 'isatty', lambda: True)
    with MetricWriter(str(tmp_path), (progress := RunProgress(0, 10)), small_config()) as writer:
        writer.start_clock()
        for step in (1, 2):
            progress.step = step
            writer.step_done({'D_ad_GA': 0.5})
        writer.shown -= metric_writer.BAR_SECONDS
        progress.step = 3
        writer.step_done({'D_ad_GA': 0.25})
    shown = capsys.readouterr().err
    assert 'D_ad 0.500 took' in shown and '3/10' in shown and 'D_ad 0.250' in shown
    assert not [message for message in caplog.messages if message.startswith('step ')]


def test_python_is_only_a_few_steps_ahead_of_the_devices(tmp_path):
    class Leaf:
        def __init__(self, step):
            self.step = step

        def block_until_ready(self):
            waited_for.append(self.step)

    waited_for = []
    with MetricWriter(str(tmp_path), (progress := RunProgress(0, 100)), small_config()) as writer:
        progress.step = 1
        writer.step_done({'D_ad_GA': 0.5})
        for progress.step in range(2, 12):
            writer.step_done({'D': Leaf(progress.step)})
    assert waited_for == list(range(2, 12 - metric_writer.IN_FLIGHT))
