"""What a run says while it goes: metrics.jsonl, history.jsonl, TensorBoard, report.html, a progress line."""

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np
from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict
from PIL import Image

from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.errors import first_line, named_line
from ugatit_jax.files import atomic_write_text
from ugatit_jax.report import history
from ugatit_jax.report.history import duration
from ugatit_jax.report.run_page import PageWriter

logger = logging.getLogger(__name__)

# columns that the clock and the machine decide: not equal in two runs of the same config
MEASURED = ('images_per_second', 'data_wait', 'bytes_in_use', 'peak_bytes_in_use')


class Reporter:
    """Writes the metrics of logged steps to WORKDIR and to the terminal; only the first process's does anything.

    A context manager around the training loop, which sets `step`: how and where the loop was left is what report.html says
    about the run.
    """

    def __init__(
        self,
        workdir: str,
        first_step: int,
        last_step: int,
        config: ConfigDict,
        active: bool = True,
        changed: dict[str, tuple[Any, Any]] | None = None,
    ):
        """A run from first_step on; `changed` are the fields in which a resumed run differs from before."""
        self.active, self.first_step, self.last_step = active, first_step, last_step
        self.batch_size, self.workdir, self.step = config.data.batch_size, str(workdir), first_step
        self.waited, self.bar, self.board = 0.0, None, None
        self.start(first_step)
        if not active:
            return
        self.path = epath.Path(workdir) / 'metrics.jsonl'
        self.evaluation_path = epath.Path(workdir) / 'evaluation.jsonl'
        for path in (self.path, self.evaluation_path):
            forget_after(path, first_step)
        self.event(
            'resumed' if first_step else 'started', config=as_json(config), changed=changed or {}, **history.surroundings()
        )
        self.page = PageWriter(self.workdir)
        self.board = open_tensorboard(workdir)
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=last_step, initial=first_step, unit='step', dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self.close('by hand' if kind is KeyboardInterrupt else first_line(error))

    def back_to(self, step: int, reason: str) -> None:
        """Forgets what was logged after `step`, to which the run went back."""
        if self.active:
            self.event('went back', to=step, reason=reason)
            for path in (self.path, self.evaluation_path):
                forget_after(path, step)
            if self.bar is not None:
                self.bar.update(step - self.bar.n)
        self.step = step
        self.start(step)

    def start(self, step: int) -> None:
        """Starts the clock at `step`: what came before, such as compiling, does not count in images/s."""
        self.clock, self.clock_step, self.waited = time.monotonic(), step, 0.0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for data: its time goes into data_wait, the share of all time since the last log."""
        started = time.monotonic()
        yield
        self.waited += time.monotonic() - started

    def event(self, event: str, **fields: Any) -> None:
        """Records in history.jsonl, and so on the page, what happened to the run."""
        if self.active:
            history.append(self.workdir, self.step, event, **fields)

    def log(self, step: int, metrics: dict[str, Any]) -> None:
        """Logs the metrics of a step: scalars on the host."""
        if not self.active:
            return
        seconds = max(time.monotonic() - self.clock, 1e-9)
        per_second = (step - self.clock_step) / seconds
        row = {'step': step} | {name: float(value) for name, value in metrics.items()}
        row['images_per_second'] = round(per_second * self.batch_size, 3)
        row['data_wait'] = round(min(self.waited / seconds, 1), 4)
        row |= device_memory()
        self.start(step)
        with self.path.open('a') as file:
            file.write(json.dumps(row) + '\n')
        self.on_board('write_scalars', step, {name: value for name, value in row.items() if name != 'step'})
        terms = ' '.join(f'{name} {row[name]:.3f}' for name in ('D_A', 'D_B', 'G_A', 'G_B'))
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix_str(f'{terms} {row["images_per_second"]:.2f} images/s')
        else:
            eta = duration((self.last_step - step) / max(per_second, 1e-9))
            logger.info('step %d/%d  %s  %.2f images/s  %s left', step, self.last_step, terms, row['images_per_second'], eta)

    def log_evaluation(self, step: int, metrics: dict[str, float]) -> None:
        """Logs an evaluation: evaluation.jsonl, TensorBoard under evaluation/, the means of both directions in a line."""
        if not self.active:
            return
        with self.evaluation_path.open('a') as file:
            file.write(json.dumps({'step': step} | metrics) + '\n')
        self.on_board('write_scalars', step, {f'evaluation/{name}': value for name, value in metrics.items()})
        means = ' '.join(f'{name} {value:.4g}' for name, value in metrics.items() if not name.endswith(('_A2B', '_B2A')))
        logger.info('step %d evaluated  %s', step, means)
        self.start(step)  # an evaluation's time is not that of steps

    def preview(self, step: int, sheet: Image.Image, rho: dict[str, Any]) -> None:
        """Shows the previews and the distribution of each layer's rho [C] in TensorBoard, and all in report.html."""
        self.on_board('write_images', step, {'preview': np.asarray(sheet)[None]})
        self.on_board('write_histograms', step, {f'rho/{layer}': np.asarray(values) for layer, values in rho.items()})
        if self.active:
            self.page.refresh()

    def on_board(self, method: str, *arguments: Any) -> None:
        """Calls a method of the TensorBoard writer; one that fails is given up, and said so."""
        if self.board is None:
            return
        try:
            getattr(self.board, method)(*arguments)
        except Exception as error:  # TensorFlow's own kinds, of an earlier write; what else stops a run comes by itself
            logger.warning('no more TensorBoard files (%s)', named_line(error))
            self.board = None

    def close(self, reason: str = '') -> None:
        """Writes out what is still held; without a reason the run is finished, with one it was stopped."""
        if not self.active:
            return
        if self.bar is not None:
            self.bar.close()
        try:
            self.event('stopped', reason=reason) if reason else self.event('finished')
        except OSError as error:  # a full disk may be the reason itself, which has to be heard
            logger.warning('history.jsonl could not be written (%s)', first_line(error))
        self.page.close()
        for method in ('flush', 'close'):
            self.on_board(method)
        self.active = False  # closed once, whoever else closes it


def device_memory() -> dict[str, int]:
    """Bytes in use now and at most so far, of the fullest device of this process; {} where the backend does not say."""
    stats = [stats for device in jax.local_devices() if (stats := device.memory_stats())]
    return {
        name: max(device[name] for device in stats)
        for name in ('bytes_in_use', 'peak_bytes_in_use')
        if stats and all(name in device for device in stats)
    }


def open_tensorboard(workdir: str) -> Any:
    """clu's TensorBoard writer, or None, said once, where TensorFlow is not installed."""
    try:
        from clu import metric_writers
        from clu.metric_writers.summary_writer import SummaryWriter
    except ImportError as error:
        logger.warning('no TensorBoard files, metrics.jsonl has all numbers: %s', error)
        return None
    return metric_writers.AsyncMultiWriter([SummaryWriter(str(workdir))])


def forget_after(path: epath.Path, step: int) -> None:
    """Drops lines of metrics.jsonl after `step`: a run killed past its last checkpoint makes them again."""
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith('\n') and 0 < step_of(line) <= step]
    if len(kept) < len(lines):
        atomic_write_text(path, ''.join(kept))


def step_of(line: str) -> int:
    """The step of a line of metrics.jsonl, -1 where it is damaged."""
    try:
        return json.loads(line)['step']
    except (ValueError, KeyError, TypeError):
        return -1
