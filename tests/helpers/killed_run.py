"""A run that kills itself at a chosen instant: python -m tests.helpers.killed_run INSTANT STEP --config=... --workdir=...

With --counting before INSTANT its step only counts, as in fake_loop.py: nothing is compiled.

INSTANT: 'saving' (the asynchronous save of STEP has begun and is not complete), 'logging' (half of STEP's row is in
metrics.jsonl), 'previewing' (STEP's preview is half written) or 'stepping' (STEP was computed and nothing of it written).
With STEP 0 it is not killed.
"""

import os
import signal
import sys

import pytest

from tests.helpers.fake_loop import fake_step
from ugatit_jax import main
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.training import loop, preview
from ugatit_jax.training.metric_writer import MetricWriter


def kill() -> None:
    """SIGKILL to this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(instant: str, last: int) -> None:
    """Patches the run so that it is killed at `instant` of step `last`."""
    if instant == 'saving':
        write = Checkpoints.write

        def write_and_die(self: Checkpoints, step: int, *args: object, **items: object) -> None:
            write(self, step, *args, **items)
            if step == last:
                kill()

        Checkpoints.write = write_and_die
    elif instant == 'logging':
        log = MetricWriter.log

        def log_half(self: MetricWriter, metrics: dict) -> None:
            if self.progress.step == last:
                with self.path.open('a') as file:
                    file.write(f'{{"step": {last}, "D')
                kill()
            log(self, metrics)

        MetricWriter.log = log_half
    elif instant == 'previewing':
        save = preview.save

        def save_half(sheet: object, workdir: str, step: int) -> object:
            path = save(sheet, workdir, step)
            if step == last:
                path.write_bytes(path.read_bytes()[:100])
                kill()
            return path

        preview.save = save_half
    else:
        due_after = loop.due_after

        def due_or_dead(step: int, *args: object) -> object:
            if step == last:
                kill()
            return due_after(step, *args)

        loop.due_after = due_or_dead


if __name__ == '__main__':
    if sys.argv[1] == '--counting':
        fake_step(pytest.MonkeyPatch())
        del sys.argv[1]
    _, instant, step, *sys.argv[1:] = sys.argv
    arm(instant, int(step))
    sys.exit(main.main())
