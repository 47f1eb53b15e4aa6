"""Preemption: SIGTERM (of Cloud TPU, Slurm, Kubernetes) and Ctrl-C end a run after the current step, saved."""

import os
import signal
import threading
from types import FrameType
from typing import Self

import jax
from jax.experimental import multihost_utils

from ugatit_jax.common.errors import CommandExit

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}  # 75: "try again later" (EX_TEMPFAIL of sysexits.h)


class Preempted(CommandExit):
    """The run was asked to leave and has saved; `code` is the process's exit status."""

    def __init__(self, message: str, code: int):
        super().__init__(message)
        self.code = code


class Preemption:
    """A context in which a signal is noted instead of killing the process; outside of it, there is nothing to save.

    Joined processes (jax.distributed) leave at the same step when any of them gets a signal: JAX's preemption service
    listens for SIGTERM from the joining on. A second signal kills.
    """

    def __init__(self) -> None:
        self.joined, self.signal, self.previous = jax.distributed.is_initialized(), None, {}

    def __enter__(self) -> Self:
        if not self.joined and threading.current_thread() is threading.main_thread():
            self.previous = {number: signal.signal(number, self.note) for number in EXIT_CODES}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        self.signal = signal.Signals(number)
        os.write(2, f'\nugatit_jax: {self.signal.name}: saving after this step; a second one kills\n'.encode())
        for again in self.previous:
            signal.signal(again, signal.SIG_DFL)

    def requested(self, step: int) -> bool:
        """Whether to save and leave now; to be called after every step, by all processes."""
        # with the step itself, as Orbax does: the processes meet at the largest step asked for
        if self.joined and multihost_utils.reached_preemption_sync_point(step):
            self.signal = signal.SIGTERM
        return self.signal is not None

    def exit_of(self, step: int, workdir: str) -> Preempted:
        """The exception that ends a run whose `step` is saved."""
        return Preempted(
            f'{self.signal.name}: saved step {step} in {workdir}; the same command continues from it',
            EXIT_CODES[self.signal],
        )
