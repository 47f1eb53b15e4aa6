"""A trace of some steps for TensorBoard's profile page: training.profile_steps=a:b."""

import logging
from typing import Any

import jax
from etils import epath

logger = logging.getLogger(__name__)


class Profiler:
    """Traces the steps a to b into WORKDIR/plugins/profile, in the first process only; None traces nothing."""

    def __init__(self, steps: tuple[int, int] | None, workdir: str, folder: epath.PathLike | None = None):
        """folder: where it is written first, see mirror.py; by default the workdir."""
        self.steps, self.workdir, self.folder = steps if jax.process_index() == 0 else None, workdir, folder or workdir
        self.tracing = False

    def before(self, step: int) -> None:
        """To be called before each step; a run that continues between a and b traces the rest."""
        if self.steps and not self.tracing and self.steps[0] <= step <= self.steps[1]:
            jax.profiler.start_trace(str(self.folder))
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
