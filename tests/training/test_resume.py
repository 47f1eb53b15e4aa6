"""A run that is killed, asked to leave, moved to other devices or sent back by NaN."""

import signal
import subprocess
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from PIL import Image

from tests.helpers.command import LONG, SMALL, Run, main, metrics_of, weights_of
from tests.helpers.fake_loop import fake_step, loop_config
from tests.helpers.paths import ROOT
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.errors import UserError
from ugatit_jax.report import history
from ugatit_jax.training import loop
from ugatit_jax.training.loop import train


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('whole')
    result = main(f'--workdir={workdir}', *LONG)
    assert result.returncode == 0, result.stderr
    return workdir


def assert_same(workdir, uninterrupted, last=40):
    assert metrics_of(workdir) == metrics_of(uninterrupted)
    ours, whole = weights_of(workdir), weights_of(uninterrupted)
    assert ours.keys() == whole.keys() and len(whole) > 100
    for name, value in whole.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)
    drawn = {path.name for path in (workdir / 'previews').iterdir()}
    assert {'00000000.png', f'{last:08d}.png'} <= drawn  # one that fell on the step of a preemption is left out
    for name in drawn:
        assert (workdir / 'previews' / name).read_bytes() == (uninterrupted / 'previews' / name).read_bytes()


INSTANTS = [('saving', 4), ('logging', 7)]
MORE = [('stepping', 1), ('saving', 2), *INSTANTS, ('previewing', 20), ('stepping', 27), ('saving', 30)]
MORE += [('logging', 38), ('saving', 40)]


def run_until(workdir, instant, step, *options, steps=40):
    """A run in a process of its own that is killed at `instant` of `step`, or goes to the end where that is 0."""
    flags = ('--config=configs/default.py', f'--workdir={workdir}', *LONG, f'--config.training.steps={steps}')
    command = [sys.executable, '-m', 'tests.helpers.killed_run', *options, instant, str(step), *flags]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert result.returncode == (-signal.SIGKILL if step else 0), result.stderr


def test_killed_at_chosen_instants_leaves_what_an_uninterrupted_run_leaves(tmp_path):
    """SIGKILL in one instant after another of one run, whose step only counts; the last process goes to the end."""
    for instant, step in [*INSTANTS, ('stepping', 0)]:
        run_until(tmp_path / 'killed', instant, step, '--counting', steps=8)
    run_until(tmp_path / 'whole', 'stepping', 0, '--counting', steps=8)
    assert_same(tmp_path / 'killed', tmp_path / 'whole', last=8)


@pytest.mark.slow  # eleven processes that compile the step, or read it from the cache
def test_killed_at_more_instants_equals_uninterrupted(uninterrupted, tmp_path):
    for instant, step in [*MORE, ('stepping', 0)]:
        run_until(tmp_path, instant, step)
    assert_same(tmp_path, uninterrupted)


@pytest.mark.slow  # two processes; test_signals.py has the same without a train step
def test_asked_to_leave_saves_the_step_at_hand_and_goes_on_from_it(uninterrupted, tmp_path):
    run = Run(tmp_path, *LONG)
    run.wait_for('step 3/')
    started = time.monotonic()
    code, said = run.end(signal.SIGTERM)
    assert time.monotonic() - started < 60
    assert code == 75 and 'SIGTERM: saved step' in said and 'Traceback' not in said, said
    step = Checkpoints(str(tmp_path)).latest()
    assert 3 <= step < 40 and history.read(str(tmp_path))[-1]['reason'].startswith(f'SIGTERM: saved step {step}')
    result = main(f'--workdir={tmp_path}', *LONG, '--config.training.keep_checkpoints=3')
    assert result.returncode == 0 and f'continuing from step {step}' in result.stderr, result.stderr
    assert 'training.keep_checkpoints 2 -> 3' in result.stderr
    assert history.read(str(tmp_path))[-2]['changed'] == {'training.keep_checkpoints': [2, 3]}
    assert_same(tmp_path, uninterrupted)


@pytest.mark.slow  # the step of two devices is another program
def test_goes_on_on_other_devices(tmp_path):
    flags = (*SMALL, '--config.data.batch_size=4')
    first = main(f'--workdir={tmp_path}', *flags, '--config.training.steps=2')
    second = main(f'--workdir={tmp_path}', *flags, '--config.training.shard_params=True', devices=2)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    third = main(f'--workdir={tmp_path}', *flags, '--config.training.steps=8')
    assert third.returncode == 0 and 'continuing from step 6' in third.stderr, third.stderr
    assert [row['step'] for row in metrics_of(tmp_path)] == list(range(1, 9))


def test_not_finite_stops_with_the_step_the_term_and_the_last_good_checkpoint(tmp_path, monkeypatch):
    fake_step(monkeypatch, bad_step=5, bad_keys=[])
    with pytest.raises(UserError, match='step 5: D_A is nan; the last good checkpoint is of step 4') as raised:
        train(loop_config(), str(tmp_path))
    assert 'to the same numbers; hint: add --config.training.on_nan=restore' in str(raised.value)
    assert Checkpoints(str(tmp_path)).latest() == 4
    assert [row['step'] for row in metrics_of(tmp_path)] == [3]
    end = history.read(str(tmp_path))[-1]
    assert 'step 5: D_A is nan' in end['reason'] and end['step'] == 6  # where it was seen, not the last that was logged


def test_restore_goes_back_once_with_another_key(tmp_path, monkeypatch):
    key, opened = jax.random.key_data(jax.random.key(0)).tolist(), []
    fake_step(monkeypatch, bad_step=8, bad_keys=[key])
    open_batches = loop.open_inputs()
    monkeypatch.setattr(loop, 'open_inputs', lambda *_: lambda first: opened.append(first) or open_batches(first))
    state = train(loop_config(training__on_nan='restore'), str(tmp_path / 'once'))
    assert int(state.step) == 12 and state.key.tolist() != key
    assert opened == [0, 4]  # the images of step 5 again
    assert [row['step'] for row in metrics_of(tmp_path / 'once')] == [3, 6, 9, 12]
    assert [(row['event'], row.get('to')) for row in history.read(str(tmp_path / 'once'))] == [
        ('started', None),
        ('went back', 4),
        ('finished', None),
    ]

    fake_step(monkeypatch, bad_step=8, bad_keys=[])
    with pytest.raises(UserError, match='step 8: D_A is nan') as raised:
        train(loop_config(training__on_nan='restore'), str(tmp_path / 'again'))
    assert 'to the same numbers; hint: start a new run with a smaller optimizer.learning_rate' in str(raised.value)


def test_a_disk_that_fails_ends_in_one_line(tmp_path, monkeypatch):
    fake_step(monkeypatch, bad_step=99, bad_keys=[])
    real_save = Checkpoints.write

    def write(self, step, *args, **items):
        with self.write_errors():
            if step == 8:
                raise ValueError('INTERNAL: tensorstore ... [errno=28: No space left on device] ... and a page more')
        real_save(self, step, *args, **items)

    monkeypatch.setattr(Checkpoints, 'write', write)
    append = history.append

    def append_while_there_is_room(workdir, step, event, **fields):
        if event == 'stopped':
            raise OSError(28, 'No space left on device')
        append(workdir, step, event, **fields)

    monkeypatch.setattr(history, 'append', append_while_there_is_room)
    with pytest.raises(
        UserError,
        match='checkpoints cannot be written: No space left on device; the last good checkpoint '
        'is of step 4: the same command continues from it',
    ):
        train(loop_config(), str(tmp_path))

    def no_writer(*arguments):
        raise OSError(28, 'No space left', 'metrics.jsonl')

    monkeypatch.setattr(loop, 'MetricWriter', no_writer)
    with pytest.raises(UserError, match='metrics.jsonl: No space left; mend that'):
        train(loop_config(), str(tmp_path / 'other'))


def test_averaged_generators_are_drawn_and_scored(tmp_path, monkeypatch):
    """With an average that differs from the weights; without one, the weights."""
    for decay, expected in ((0.9, 'averaged'), (0.0, 'raw')):
        drawn, scored = [], []

        @jax.jit
        def step(state, batch, hyperparameters):
            generator = jax.tree.map(jnp.zeros_like, state.generator)
            ema = jax.tree.map(jnp.ones_like, state.ema)
            return state.replace(step=state.step + 1, generator=generator, ema=ema), dict.fromkeys(
                ('D_A', 'D_B', 'G_A', 'G_B'), jnp.ones(())
            )

        def which(generator):
            return {0.0: 'raw', 1.0: 'averaged'}.get(float(generator['genA2B']['head']['kernel'].mean()), 'start')

        def evaluator(*_, scored=scored):
            return types.SimpleNamespace(metrics=lambda generator: scored.append(which(generator)) or {'kid': 1.0})

        def draw(networks, generator, *_, drawn=drawn):
            drawn.append(which(generator))
            return Image.new('RGB', (8, 8))

        fake_step(monkeypatch, bad_step=99, bad_keys=[])
        monkeypatch.setattr(loop, 'compile_step', lambda *_, step=step: (step, ['D_A', 'D_B', 'G_A', 'G_B']))
        monkeypatch.setattr(loop, 'make_evaluator', evaluator)
        monkeypatch.setattr(loop.preview, 'draw', draw)
        config = loop_config(training__ema_decay=decay, evaluation__every=6)
        train(ConfigDict(config), str(tmp_path / expected))
        assert scored == [expected] * 2 and drawn == ['start', expected]  # at step 0 and at the end
        assert Checkpoints(str(tmp_path / expected)).folder(12).metrics['kid'] == 1  # what keep_best compares
