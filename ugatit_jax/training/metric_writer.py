"""What a run writes: metrics.jsonl, history.jsonl, previews, TensorBoard files, report.html, a progress line."""

import collections
import contextlib
import dataclasses
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self

import jax
import numpy as np
from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict
from PIL import Image

from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.common.errors import first_line, named_line
from ugatit_jax.common.files import atomic_write_text
from ugatit_jax.common.progress import spoken
from ugatit_jax.evaluate.classifier import reliability_mark
from ugatit_jax.report import history
from ugatit_jax.report.run_page_writer import RunPageWriter
from ugatit_jax.report.terms import mean_terms
from ugatit_jax.training import preview
from ugatit_jax.training.mirror import Mirror

logger = logging.getLogger(__name__)

# metrics that the clock and the machine decide: not equal in two runs of the same config
MEASURED = ('images_per_second', 'data_wait', 'bytes_in_use', 'peak_bytes_in_use')
SILENT_SECONDS = 60  # at most, between two lines in the terminal, however long a step takes
SECOND_LINE_SECONDS = 10  # after the line of the first step: the first one with a speed
BAR_SECONDS = 2  # between two updates of a progress bar
IN_FLIGHT = 4  # steps that Python is ahead of the devices, at most: they do not wait for it, and the terminal hears of now


@dataclasses.dataclass
class RunProgress:
    """Where a run is: the one place on the host where its step number is kept."""

    first: int  # step that it began or continued at
    last: int
    step: int = 0

    def __post_init__(self) -> None:
        self.step = self.first


class MetricWriter:
    """Writes what happens at progress.step to WORKDIR and to the terminal; only the first process writes anything.

    A context manager around the training loop: how it is left goes into history.jsonl and report.html.
    """

    def __init__(
        self,
        workdir: str,
        progress: RunProgress,
        config: ConfigDict,
        changed: dict[str, tuple[Any, Any]] | None = None,
        damaged: Sequence[str] = (),
    ):
        """changed: fields in which a resumed run differs from before; damaged: what was wrong with newer checkpoints."""
        self.active = jax.process_index() == 0
        self.workdir, self.progress, self.batch_size = str(workdir), progress, config.data.batch_size
        self.folder = epath.Path(workdir)  # where files are written first, see mirror.py
        self.bar = self.tensorboard = None
        self.shown = 0.0  # when the terminal was last told of a step
        self.in_flight: collections.deque[dict[str, Any]] = collections.deque()
        self.start_clock()
        if not self.active:
            return
        self.mirror = Mirror(self.workdir, ('metrics.jsonl', 'evaluation.jsonl'))
        self.folder = self.mirror.folder
        self.path, self.evaluation_path = self.folder / 'metrics.jsonl', self.folder / 'evaluation.jsonl'
        self.drop_later_rows()
        self.record_event(
            'resumed' if progress.first else 'started',
            config=as_json(config),
            changed=changed or {},
            **history.environment(),
        )
        for reason in damaged:
            self.record_event('went back', to=progress.first, reason=reason)
        self.page = RunPageWriter(self.workdir, before=self.mirror.copy)
        self.tensorboard = open_tensorboard(self.folder)
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=progress.last, initial=progress.first, unit='step', dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.close()
        else:
            self.close('by hand' if kind is KeyboardInterrupt else first_line(error))

    def start_clock(self) -> None:
        """Starts the clock of images_per_second: what came before, such as compiling, does not count."""
        self.clock, self.clock_step, self.waited = time.monotonic(), self.progress.step, 0.0
        if self.bar is not None:
            self.bar.unpause()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around what waits for data: its time goes into data_wait, the share of all time since the last log."""
        started = time.monotonic()
        yield
        self.waited += time.monotonic() - started

    def record_event(self, event: str, **fields: Any) -> None:
        """Records in history.jsonl, and so on the page, what happened to the run."""
        if self.active:
            history.append(self.workdir, self.progress.step, event, **fields)

    def rolled_back(self, step: int, reason: str) -> None:
        """Drops what was logged after `step`, which the run goes back to; to be called before progress.step changes."""
        self.record_event('went back', to=step, reason=reason)
        self.progress.step = step
        if self.active:
            self.drop_later_rows()
            self.update_bar()
        self.start_clock()

    def drop_later_rows(self) -> None:
        """Drops rows after progress.step: a run killed past its last checkpoint makes them again."""
        for path in (self.path, self.evaluation_path):
            drop_rows_after(path, self.progress.step)
        history.drop_damaged(self.workdir)

    def log(self, metrics: dict[str, Any]) -> None:
        """Logs the metrics of the step: scalars on the host."""
        if not self.active:
            return
        step = self.progress.step
        seconds, steps_per_second = self.speed()
        row = {'step': step} | {name: float(value) for name, value in metrics.items()}
        row['images_per_second'] = round(steps_per_second * self.batch_size, 3)
        row['data_wait'] = round(min(self.waited / seconds, 1), 4)
        row |= device_memory()
        with self.path.open('a') as file:
            file.write(json.dumps(row) + '\n')
        self.write_tensorboard('write_scalars', {name: value for name, value in row.items() if name != 'step'})
        self.show(metrics, steps_per_second)
        self.start_clock()

    def step_done(self, metrics: dict[str, Any]) -> None:
        """Tells the terminal alone, after the first step and where it has been silent for long; waits for the step then.

        metrics: of the step, on the devices.
        """
        if not self.active:
            return
        self.in_flight.append(metrics)
        if len(self.in_flight) > IN_FLIGHT:
            jax.block_until_ready(self.in_flight.popleft())
        if self.progress.step == self.progress.first + 1:
            metrics = jax.device_get(metrics)
            self.show(metrics, None)
            self.shown -= SILENT_SECONDS - SECOND_LINE_SECONDS
            self.start_clock()  # the first step is slower than any other
        elif time.monotonic() - self.shown >= (SILENT_SECONDS if self.bar is None else BAR_SECONDS):
            metrics = jax.device_get(metrics)
            self.show(metrics, self.speed()[1])

    def speed(self) -> tuple[float, float]:
        """Seconds since the clock was started, and steps per second."""
        seconds = max(time.monotonic() - self.clock, 1e-9)
        return seconds, max((self.progress.step - self.clock_step) / seconds, 1e-9)

    def show(self, metrics: dict[str, Any], steps_per_second: float | None) -> None:
        """A line in the terminal, or its progress bar: unweighted terms of the losses, speed, and the time left.

        steps_per_second: None for what the first step alone took.
        """
        step, last = self.progress.step, self.progress.last
        terms = ' '.join(f'{name} {value:.3f}' for name, value in mean_terms(metrics).items())
        if steps_per_second is None:
            speed, left = f'took {spoken(self.speed()[0])}', ''
        else:
            speed = f'{steps_per_second * self.batch_size:.2f} images/s'
            left = f'  {spoken((last - step) / steps_per_second)} left'
        if self.bar is not None:
            self.update_bar()
            self.bar.set_postfix_str(f'{terms} {speed}')
        else:
            logger.info('step %d/%d  %s  %s%s', step, last, terms, speed, left)
        self.shown = time.monotonic()

    def log_evaluation(self, metrics: dict[str, float]) -> None:
        """Logs an evaluation: evaluation.jsonl, TensorBoard under evaluation/, the means of both directions in a line."""
        if not self.active:
            return
        with self.evaluation_path.open('a') as file:
            file.write(json.dumps({'step': self.progress.step} | metrics) + '\n')
        self.write_tensorboard('write_scalars', {f'evaluation/{name}': value for name, value in metrics.items()})
        means = {name: f'{value:.4g}' for name, value in metrics.items() if not name.endswith(('_A2B', '_B2A'))}
        if 'domain_accuracy' in means:
            means['domain_accuracy'] += reliability_mark(metrics.get('domain_accuracy_real'))
        logger.info('step %d evaluated  %s', self.progress.step, ' '.join(f'{name} {text}' for name, text in means.items()))
        self.start_clock()  # an evaluation's time is not that of steps

    def log_preview(self, sheet: Image.Image, rho: dict[str, Any]) -> None:
        """Writes the preview grid, and each layer's distribution of rho [C] to TensorBoard; updates report.html."""
        if not self.active:
            return
        preview.save(sheet, self.folder, self.progress.step)
        self.write_tensorboard('write_images', {'preview': np.asarray(sheet)[None]})
        self.write_tensorboard('write_histograms', {f'rho/{layer}': np.asarray(values) for layer, values in rho.items()})
        self.page.refresh()

    def flush(self) -> None:
        """To be called before a checkpoint: a run that continues from it makes no row up to here again."""
        if self.active and self.mirror.remote:
            self.call_tensorboard('flush')
            self.mirror.copy()

    def write_tensorboard(self, method: str, values: dict[str, Any]) -> None:
        """Calls a method of the TensorBoard writer at this step."""
        self.call_tensorboard(method, self.progress.step, values)

    def call_tensorboard(self, method: str, *arguments: Any) -> None:
        """Calls a method of the TensorBoard writer; one that fails is given up, with a warning."""
        if self.tensorboard is None:
            return
        try:
            getattr(self.tensorboard, method)(*arguments)
        except Exception as error:  # TensorFlow's own kinds, of an earlier write; what else stops a run comes by itself
            logger.warning('no more TensorBoard files (%s)', named_line(error))
            self.tensorboard = None

    def update_bar(self) -> None:
        """Moves the progress bar to the step."""
        if self.bar is not None:
            self.bar.update(self.progress.step - self.bar.n)

    def close(self, reason: str = '') -> None:
        """Writes out what is still held; without a reason the run is finished, with one it was stopped."""
        if not self.active:
            return
        if self.bar is not None:
            self.bar.close()
        try:
            self.record_event('stopped', reason=reason) if reason else self.record_event('finished')
        except OSError as error:  # a full disk may be the reason itself, which has to be heard
            logger.warning('history.jsonl could not be written (%s)', first_line(error))
        for method in ('flush', 'close'):
            self.call_tensorboard(method)
        self.mirror.close()
        self.page.close()
        self.active = False  # closed once, whoever else closes it


def device_memory() -> dict[str, int]:
    """Bytes in use now and at most so far, of the fullest device of this process; {} where the backend does not say."""
    stats = [stats for device in jax.local_devices() if (stats := device.memory_stats())]
    return {
        name: max(device[name] for device in stats)
        for name in ('bytes_in_use', 'peak_bytes_in_use')
        if stats and all(name in device for device in stats)
    }


def open_tensorboard(folder: epath.Path) -> Any:
    """clu's TensorBoard writer; None, with a warning, where TensorFlow is not installed."""
    try:
        from clu import metric_writers
        from clu.metric_writers.summary_writer import SummaryWriter
    except ImportError as error:
        logger.warning('no TensorBoard files, metrics.jsonl has all numbers: %s', error)
        return None
    return metric_writers.AsyncMultiWriter([SummaryWriter(str(folder))])


def drop_rows_after(path: epath.Path, step: int) -> None:
    """Drops the lines of a JSON Lines file that are damaged, which it logs, or of a later step."""
    if not path.exists():
        return
    rows, damaged = history.read_lines(path)
    kept = [line for line, row in rows if 0 < row['step'] <= step]
    if damaged:
        logger.warning('%s: dropped %d damaged lines', path, damaged)
    if damaged or len(kept) < len(rows):
        atomic_write_text(path, ''.join(f'{line}\n' for line in kept))
