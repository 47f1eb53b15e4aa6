"""What a workdir on a bucket costs: how long a step waits for metrics, and a start whose programs are in a cache there.

    python -m benchmarks.bucket                                   # an emulator of Google Cloud Storage on this machine
    python -m benchmarks.bucket --workdir=gs://BUCKET/FOLDER      # a real one; what is written below FOLDER stays

log is what every logged step does, flush what a step with a checkpoint does before it saves. The two starts are --dry_run
of a tiny model, the first with an empty cache; compiling is what they differ in.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import configure, make_parser, publish, versions
from ugatit_jax.common.command import run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.training.metric_writer import MetricWriter, RunProgress
from ugatit_jax.training.workdir import make_directory

METRICS = dict.fromkeys((*('D_A', 'D_B', 'G_A', 'G_B'), *(f'metric_{i}' for i in range(60))), 0.123456789)  # as a run has
DRY_RUN = (
    '--config=configs/demo.py',
    '--config.data.image_size=32',
    '--config.model.ch=2',
    '--config.model.n_res=1',
    '--config.model.n_layers_global=4',
    '--config.model.n_layers_local=3',
    '--dry_run',
)


def measure_metrics(workdir: str, rows: int, rounds: int) -> dict[str, float]:
    """Medians of log and flush in a run that has logged `rows` rows."""
    make_directory(workdir)
    progress, logging, flushing = RunProgress(0, 10**6), [], []
    with MetricWriter(workdir, progress, configure({})) as writer:
        for i in range(rows + rounds):
            progress.step += 1
            started = time.perf_counter()
            writer.log(METRICS)
            logging.append(time.perf_counter() - started)
            if i >= rows:
                started = time.perf_counter()
                writer.flush()
                flushing.append(time.perf_counter() - started)
    return {'log_seconds': statistics.median(logging), 'flush_seconds': statistics.median(flushing)}


def compile_seconds(cache: str) -> int:
    """How long compiling took in a start of its own."""
    command = [sys.executable, '-m', 'ugatit_jax.main', *DRY_RUN, f'--workdir={cache}/none', f'--compilation_cache={cache}']
    said = subprocess.run(command, text=True, capture_output=True)
    if said.returncode:
        raise UserError(said.stderr.splitlines()[-1])
    return round(float(re.search(r'compiling the train step took ([\d.]+) s', said.stderr)[1]))


def measure_all(options: argparse.Namespace) -> None:
    """Measures and prints."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if not (workdir := options.workdir):
            from tests.helpers.bucket import Bucket

            os.environ.update(stack.enter_context(Bucket(Path(folder))).env)
            workdir = 'gs://bucket'
        results: dict[str, Any] = {}
        for rows in options.rows:
            for place in (folder, workdir):
                name = f'{"bucket" if place == workdir else "local"}, {rows} rows'
                results[name] = measure_metrics(f'{place}/run-{rows}', rows, options.rounds)
                print(f'{name:20} log {1e3 * results[name]["log_seconds"]:8.2f} ms   ', end='')
                print(f'flush {1e3 * results[name]["flush_seconds"]:8.2f} ms', flush=True)
        if options.compile:
            results['compile_seconds'] = [compile_seconds(f'{workdir}/compiled-{os.getpid()}') for _ in range(2)]
            print('compiling in the first and second start: {} s, {} s'.format(*results['compile_seconds']))
        publish(versions(), options, results)


def main() -> int:
    """The command line."""
    parser = make_parser('bucket', __doc__)
    parser.add_argument('--workdir', default='', help='gs://BUCKET/FOLDER (default: an emulator)')
    parser.add_argument('--rows', type=int, nargs='+', default=[100, 2000], help='rows that are there (default: 100 2000)')
    parser.add_argument('--rounds', type=int, default=20, help='flushes (default: 20)')
    parser.add_argument('--compile', action=argparse.BooleanOptionalAction, default=True, help='also the two starts')
    options = parser.parse_args()
    return run_command(lambda: measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
