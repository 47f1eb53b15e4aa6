"""Signals and clocks at bad moments: nothing is lost, and the same command goes on."""

import os
import signal
import subprocess
import sys
import time
import types

import pytest
from PIL import Image

from tests.helpers.command import metrics_of
from tests.helpers.fake_loop import fake_step, loop_config
from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.report import history
from ugatit_jax.training import loop
from ugatit_jax.training.loop import train
from ugatit_jax.training.preemption import Preempted


def send_in(monkeypatch, place, number, call):
    """Patches one part of the loop so that its `call`-th call sends this process a signal before it does its work."""
    calls = []

    def with_signal(function):
        def called(*arguments, **options):
            calls.append(1)
            if len(calls) == call:
                os.kill(os.getpid(), number)
            return function(*arguments, **options)

        return called

    if place == 'evaluation':
        evaluator = types.SimpleNamespace(metrics=with_signal(lambda generator: {'kid': 1.0}))
        monkeypatch.setattr(loop, 'make_evaluator', lambda *_: evaluator)
    elif place == 'preview':
        monkeypatch.setattr(loop.preview, 'draw', with_signal(lambda *_: Image.new('RGB', (8, 8))))
    elif place == 'compilation':
        monkeypatch.setattr(loop, 'compile_step', with_signal(loop.compile_step))
    elif place == 'saving':
        monkeypatch.setattr(Checkpoints, 'write', with_signal(Checkpoints.write))


CONFIG = loop_config(training__preview_every=4)


@pytest.mark.parametrize(
    'place, step, number',
    [
        ('evaluation', 6, signal.SIGTERM),
        pytest.param('preview', 4, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param('evaluation', 6, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param('preview', 4, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param('saving', 4, signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param('saving', 4, signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_while_the_loop_is_busy_saves_the_next_step(tmp_path, monkeypatch, place, step, number):
    config = loop_config(training__preview_every=4, evaluation__every=6 * (place == 'evaluation'))
    with monkeypatch.context() as patch:
        fake_step(patch)
        send_in(patch, place, number, 2 if place == 'preview' else 1)  # there is a preview of step 0
        with pytest.raises(Preempted, match=f'{number.name}: saved step {step + 1} in ') as left:
            train(config, str(tmp_path))
    assert left.value.code == {signal.SIGTERM: 75, signal.SIGINT: 130}[number]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # as before
    assert Checkpoints(str(tmp_path)).latest() == step + 1
    fake_step(monkeypatch)
    assert int(train(CONFIG, str(tmp_path)).step) == 12
    assert [row['step'] for row in metrics_of(tmp_path)] == [3, 6, 9, 12]
    assert (tmp_path / 'previews' / '00000004.png').exists()


@pytest.mark.slow  # two runs each
@pytest.mark.parametrize('place', ['compilation', 'preview'])
def test_interrupted_before_the_first_step(tmp_path, monkeypatch, place):
    with monkeypatch.context() as patch:
        fake_step(patch)
        send_in(patch, place, signal.SIGINT, 1)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, str(tmp_path))
    fake_step(monkeypatch)
    assert int(train(CONFIG, str(tmp_path)).step) == 12  # the workdir is free
    assert [row['step'] for row in metrics_of(tmp_path)] == [3, 6, 9, 12]


TWICE = """
import os, signal, time
from ugatit_jax.training.preemption import Preemption
with Preemption():
    os.kill(os.getpid(), signal.SIGINT)
    print('on', flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
"""


def test_a_second_one_ends_the_process():
    ended = subprocess.run([sys.executable, '-c', TWICE], cwd=ROOT, text=True, capture_output=True)
    assert ended.returncode == -signal.SIGINT and ended.stdout == 'on\n', ended.stderr
    assert ended.stderr.strip() == 'ugatit_jax: SIGINT: saving after this step; a second one kills'


@pytest.mark.slow  # two runs
def test_a_clock_that_goes_back(tmp_path, monkeypatch):
    """No order depends on it: not which checkpoint is newest, nor that of the metrics."""
    fake_step(monkeypatch)
    train(loop_config(training__steps=8), str(tmp_path))
    now = time.time()
    monkeypatch.setattr(time, 'time', lambda: now - 1e6)
    for path in sorted((tmp_path / 'checkpoints').rglob('*')):
        os.utime(path, (now + 1e6, now + 1e6))
    assert int(train(CONFIG, str(tmp_path)).step) == 12
    assert Checkpoints(str(tmp_path)).latest() == 12
    assert [row['step'] for row in metrics_of(tmp_path)] == [3, 6, 8, 9, 12]
    assert [row['event'] for row in history.read(str(tmp_path))] == ['started', 'finished', 'resumed', 'finished']
