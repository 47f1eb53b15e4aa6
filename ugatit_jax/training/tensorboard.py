"""TensorBoard files of a run, written in the background."""

import concurrent.futures
import logging
from typing import Any

import numpy as np
from etils import epath

from ugatit_jax.errors import named_line

logger = logging.getLogger(__name__)


class TensorBoard:
    """clu's TensorBoard writer in a thread of its own, opened by `start`: TensorFlow takes seconds to import.

    What is written before is kept until then. A writer that cannot be opened or that fails is given up, with a warning.
    """

    def __init__(self, folder: epath.Path):
        self.folder, self.writer, self.started = folder, None, False
        self.waiting: list[tuple[str, tuple[Any, ...]]] = []
        self.pool = concurrent.futures.ThreadPoolExecutor(1, 'tensorboard')

    def scalars(self, step: int, values: dict[str, Any]) -> None:
        """Writes numbers by their names."""
        self.call('write_scalars', step, values)

    def images(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Writes images [n, h, w, 3]."""
        self.call('write_images', step, values)

    def histograms(self, step: int, values: dict[str, np.ndarray]) -> None:
        """Writes distributions of arrays."""
        self.call('write_histograms', step, values)

    def start(self) -> None:
        """Opens the writer in its thread, and writes what was kept; does nothing the second time."""
        if not self.started:
            self.started = True
            self.pool.submit(self.open)
            for method, arguments in self.waiting:
                self.pool.submit(self.write, method, arguments)
            self.waiting.clear()

    def flush(self) -> None:
        """Returns when everything is in the file."""
        self.start()
        self.pool.submit(self.write, 'flush', ()).result()

    def close(self) -> None:
        """Writes what is left and closes the file; of a run without a step there is none."""
        if self.started:
            for method in ('flush', 'close'):
                self.pool.submit(self.write, method, ())
        self.pool.shutdown()

    def call(self, method: str, *arguments: Any) -> None:
        """Has the thread call a method of clu's writer."""
        if self.started:
            self.pool.submit(self.write, method, arguments)
        else:
            self.waiting.append((method, arguments))

    def open(self) -> None:
        """Opens clu's writer, in the thread."""
        try:
            from clu.metric_writers.summary_writer import SummaryWriter

            from ugatit_jax.command import hide_gpus_from_tensorflow

            hide_gpus_from_tensorflow()
            self.writer = SummaryWriter(str(self.folder))
        except ImportError as error:
            logger.warning('no TensorBoard files, metrics.jsonl has all numbers: %s', error)
        except Exception as error:  # TensorFlow's own kinds; what else stops a run comes by itself
            logger.warning('no TensorBoard files (%s)', named_line(error))

    def write(self, method: str, arguments: tuple[Any, ...]) -> None:
        """Calls clu's writer, in the thread."""
        if self.writer is None:
            return
        try:
            getattr(self.writer, method)(*arguments)
        except Exception as error:
            logger.warning('no more TensorBoard files (%s)', named_line(error))
            self.writer = None
