"""What a run says while it goes: metrics.jsonl, TensorBoard, a progress line."""
import json
import logging
import sys
import time
from typing import Any

import numpy as np
from etils import epath
from PIL import Image

logger = logging.getLogger(__name__)


class Reporter:
    """Writes the metrics of logged steps to WORKDIR and to the terminal; only the first process's does anything."""

    def __init__(self, workdir: str, first_step: int, last_step: int, batch_size: int, active: bool = True):
        self.active, self.first_step, self.last_step, self.batch_size = active, first_step, last_step, batch_size
        self.clock, self.clock_step, self.bar, self.board = time.monotonic(), first_step, None, None
        if not active:
            return
        self.path = epath.Path(workdir) / 'metrics.jsonl'
        self.evaluation_path = epath.Path(workdir) / 'evaluation.jsonl'
        for path in (self.path, self.evaluation_path):
            forget_after(path, first_step)
        self.board = open_tensorboard(workdir)
        if sys.stderr.isatty():
            from tqdm import tqdm
            self.bar = tqdm(total=last_step, initial=first_step, unit='step', dynamic_ncols=True)

    def start(self, step: int) -> None:
        """Starts the clock at `step`: what came before, such as compiling, does not count in images/s."""
        self.clock, self.clock_step = time.monotonic(), step

    def log(self, step: int, metrics: dict[str, Any]) -> None:
        """Logs the metrics of a step: scalars on the host."""
        if not self.active:
            return
        now = time.monotonic()
        per_second = (step - self.clock_step) / max(now - self.clock, 1e-9)
        self.start(step)
        row = {'step': step} | {name: float(value) for name, value in metrics.items()}
        row['images_per_second'] = round(per_second * self.batch_size, 3)
        with self.path.open('a') as file:
            file.write(json.dumps(row) + '\n')
        if self.board:
            self.board.write_scalars(step, {name: value for name, value in row.items() if name != 'step'})
        terms = ' '.join(f'{name} {row[name]:.3f}' for name in ('D_A', 'D_B', 'G_A', 'G_B'))
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            self.bar.set_postfix_str(f'{terms} {row["images_per_second"]:.2f} images/s')
        else:
            eta = duration((self.last_step - step) / max(per_second, 1e-9))
            logger.info('step %d/%d  %s  %.2f images/s  %s left', step, self.last_step, terms,
                        row['images_per_second'], eta)

    def log_evaluation(self, step: int, metrics: dict[str, float]) -> None:
        """Logs an evaluation: evaluation.jsonl, TensorBoard under evaluation/, the means of both directions in a line."""
        if not self.active:
            return
        with self.evaluation_path.open('a') as file:
            file.write(json.dumps({'step': step} | metrics) + '\n')
        if self.board:
            self.board.write_scalars(step, {f'evaluation/{name}': value for name, value in metrics.items()})
        means = ' '.join(f'{name} {value:.4g}' for name, value in metrics.items() if not name.endswith(('_A2B', '_B2A')))
        logger.info('step %d evaluated  %s', step, means)

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Shows a picture in TensorBoard."""
        if self.board:
            self.board.write_images(step, {name: np.asarray(picture)[None]})

    def close(self) -> None:
        """Writes out what is still held."""
        if self.bar is not None:
            self.bar.close()
        if self.board:
            self.board.flush()
            self.board.close()


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
        new = path.with_suffix('.tmp')
        new.write_text(''.join(kept))
        new.replace(path)


def step_of(line: str) -> int:
    """The step of a line of metrics.jsonl, -1 where it is damaged."""
    try:
        return json.loads(line)['step']
    except (ValueError, KeyError, TypeError):
        return -1


def duration(seconds: float) -> str:
    """'1d 02:03:04', or '02:03:04' below a day."""
    days, rest = divmod(int(seconds), 86_400)
    clock = f'{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}'
    return f'{days}d {clock}' if days else clock
