"""Rewrites WORKDIR/report.html while a run trains."""

import logging
import threading
import time
from collections.abc import Callable

from ugatit_jax.common.errors import named_line
from ugatit_jax.report.run_page import write_run_page

logger = logging.getLogger(__name__)

MAX_TIME_SHARE = (
    0.05  # of the run's time spent on the page: it grows with the run, and takes CPU time from the input pipeline
)


class RunPageWriter:
    """Writes the page in a background thread; a page that fails is logged and does not stop the run."""

    def __init__(self, workdir: str, before: Callable[[], None] = lambda: None):
        """before() is called in that thread before the page is written."""
        self.workdir, self.before, self.thread, self.next_time = workdir, before, None, 0.0

    def refresh(self) -> None:
        """Starts writing the page, unless it is being written or was written too recently (MAX_TIME_SHARE)."""
        if (self.thread is None or not self.thread.is_alive()) and time.monotonic() >= self.next_time:
            self.thread = threading.Thread(target=self.refresh_now, name='report.html')
            self.thread.start()

    def refresh_now(self) -> None:
        """What the thread does."""
        self.before()
        self.write()

    def close(self) -> None:
        """Writes the page a last time."""
        if self.thread is not None:
            self.thread.join()
        self.write()

    def write(self) -> None:
        """Writes the page, or logs why that failed."""
        started = time.monotonic()
        try:
            write_run_page(self.workdir)
        except Exception as error:  # whatever it is, days of training go on
            logger.warning('report.html could not be written (%s); the training goes on', named_line(error))
        took = time.monotonic() - started
        self.next_time = started + took / MAX_TIME_SHARE
