"""Rewrites WORKDIR/report.html while a run trains."""

import concurrent.futures
import logging
import time
from collections.abc import Callable

from ugatit_jax.common.errors import named_line
from ugatit_jax.report.run_page import write_run_page

logger = logging.getLogger(__name__)

MAX_TIME_SHARE = (
    0.05  # of the run's time spent on the page: it grows with the run, and takes CPU time from the input pipeline
)


class RunPageWriter:
    """Writes the page in a background thread; a page that fails is logged and does not stop the run.

    The same thread for all pages: Matplotlib opens its fonts anew for each.
    """

    def __init__(self, workdir: str, before: Callable[[], None] = lambda: None):
        """before() is called in that thread before the page is written."""
        self.workdir, self.before, self.next_time = workdir, before, 0.0
        self.thread = concurrent.futures.ThreadPoolExecutor(1, 'report.html')
        self.writing: concurrent.futures.Future[None] | None = None

    def refresh(self) -> None:
        """Starts writing the page, unless it is being written or was written too recently (MAX_TIME_SHARE)."""
        if (self.writing is None or self.writing.done()) and time.monotonic() >= self.next_time:
            self.writing = self.thread.submit(self.write, self.before)

    def close(self) -> None:
        """Writes the page a last time."""
        self.thread.submit(self.write)
        self.thread.shutdown()

    def write(self, before: Callable[[], None] = lambda: None) -> None:
        """Writes the page, or logs why that failed."""
        started = time.monotonic()
        try:
            before()
            write_run_page(self.workdir)
        except Exception as error:  # whatever it is, days of training go on
            logger.warning('report.html could not be written (%s); the training goes on', named_line(error))
        took = time.monotonic() - started
        self.next_time = started + took / MAX_TIME_SHARE
