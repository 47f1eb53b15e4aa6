"""A trace of some steps for TensorBoard's profile page: training.profile_steps=a:b."""

import logging
from typing import Any

import jax

from ugatit_jax.errors import UserError

logger = logging.getLogger(__name__)


def parse_steps(text: str, last: int) -> tuple[int, int] | None:
    """'a:b' -> (a, b), steps a to b, both included; '' -> None. Raises UserError where that is no part of 1 to `last`."""
    if not text:
        return None
    first, _, final = text.partition(':')
    steps = (int(first), int(final)) if first.isdecimal() and final.isdecimal() else (0, 0)
    if not 1 <= steps[0] <= steps[1] <= last:
        raise UserError(
            f'config: training.profile_steps={text!r} does not work; it has to be a:b with 1 <= a <= b <= {last}, the last '
            'step (training.steps)'
        )
    return steps


class Profiler:
    """Traces the steps a to b into WORKDIR/plugins/profile, in the first process only; None traces nothing."""

    def __init__(self, steps: tuple[int, int] | None, workdir: str, active: bool = True):
        self.steps, self.workdir, self.tracing = steps if active else None, workdir, False

    def before(self, step: int) -> None:
        """To be called before each step; a run that continues between a and b traces the rest."""
        if self.steps and not self.tracing and self.steps[0] <= step <= self.steps[1]:
            jax.profiler.start_trace(str(self.workdir))
            self.tracing = True

    def after(self, step: int, results: Any) -> None:
        """To be called after each step with arrays that it made: the trace ends when they are there."""
        if self.tracing and step >= self.steps[1]:
            jax.block_until_ready(results)
            self.close()
            logger.info('steps %d to %d are traced: tensorboard --logdir=%s, page Profile', *self.steps, self.workdir)

    def close(self) -> None:
        """Ends a trace that is still open, as at an error."""
        if self.tracing:
            jax.profiler.stop_trace()
            self.tracing = False
