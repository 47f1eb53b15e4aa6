r"""Which settings help a short training: one change after the other, as a table for docs/study.md.

    python -m benchmarks.study --runs=runs/study                                        # drawn faces
    python -m benchmarks.study --runs=runs/study_emoji --source=emoji --steps=3000 --set model.ch=24
    python -m benchmarks.study --runs=runs/study_cats --source=folder:PATH --rows base no_stem_norm

The base is configs/demo.py with the weights that it had first. Each row is a training in RUNS/ROW, evaluated at its end; the
same command continues where it was stopped and prints the rows that are finished. What is best depends on the set: choose by
the images, RUNS/ROW/previews, as well.
"""

import argparse
import json
import pathlib
import subprocess
import sys

from benchmarks.common import make_parser, table
from ugatit_jax.common.command import run_command
from ugatit_jax.common.errors import UserError

LIGHT_CAM = {'loss.cam_weight': 1.0}
NO_STEM_NORM = {'model.stem_norm': False}
KEPT = {'loss.cycle_weight': 20.0, 'loss.identity_weight': 20.0}
BASE = {'model.stem_norm': True, 'loss.cam_weight': 50.0, 'loss.cycle_weight': 10.0, 'loss.identity_weight': 10.0}
ROWS = {  # what a row changes in that
    'base': {},
    'no_stem_norm': NO_STEM_NORM,
    'affine': {'model.instance_norm_affine': True},
    'cam_1': LIGHT_CAM,
    'cam_1000': {'loss.cam_weight': 1000.0},
    'cycle_20': KEPT,
    'cycle_5': {'loss.cycle_weight': 5.0, 'loss.identity_weight': 5.0},
    'no_stem_norm_cam_1': NO_STEM_NORM | LIGHT_CAM,
    'no_stem_norm_cycle_20': NO_STEM_NORM | KEPT,
    'no_stem_norm_cam_1_cycle_20': NO_STEM_NORM | LIGHT_CAM | KEPT,
    'diffaugment': {'augment.diffaugment': 'color,translation,cutout'},
    'rate_2e-4': {'optimizer.learning_rate': 2e-4},
    'ema_0.999': {'training.ema_decay': 0.999, 'training.ema_warmup': True},
    'ch_24': {'model.ch': 24},
}
COLUMNS = {  # metric: its heading
    'domain_accuracy': 'domain accuracy',
    'outside_l1': 'change outside',
    'truth_l1_share': 'truth L1 / input',
    'truth_perceptual': 'truth perceptual',
    'kid_effnet': 'KID x 100, EfficientNet-Lite0',
    'cycle_l1': 'cycle L1',
    'identity_l1': 'identity L1',
}
FACTORS = {'kid_effnet': 100}


def flags(row: str, options: argparse.Namespace) -> list[str]:
    """The command line of a row's training."""
    fields = {
        'data.source': options.source,
        'training.steps': options.steps,
        'evaluation.every': options.steps,
        **BASE,
        **dict(item.split('=', 1) for item in options.set),
        **ROWS[row],
    }
    workdir = pathlib.Path(options.runs) / row
    return ['--config=demo', f'--workdir={workdir}', *(f'--config.{name}={value}' for name, value in fields.items())]


def train(row: str, options: argparse.Namespace) -> None:
    """Trains a row to its end; raises UserError where it fails."""
    print(f'== {row}', flush=True)
    command = [sys.executable, '-m', 'ugatit_jax.main', *flags(row, options)]
    if code := subprocess.run(command).returncode:
        raise UserError(f'the training of {row} ended with exit code {code}; the same command continues')


def results(row: str, options: argparse.Namespace) -> list[tuple[str, ...]]:
    """Rows of the table, one for each direction; none where the training has not ended."""
    path = pathlib.Path(options.runs) / row / 'evaluation.jsonl'
    evaluations = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    found = [evaluation for evaluation in evaluations if evaluation['step'] == options.steps]
    return [
        (row, direction, *(cell(found[-1].get(f'{name}_{direction}'), FACTORS.get(name, 1)) for name in COLUMNS))
        for direction in ('A2B', 'B2A')
        if found
    ]


def cell(value: float | None, factor: float) -> str:
    """A number of the table; empty for a metric that the set does not have."""
    return '' if value is None else f'{value * factor:.3f}'


def study(options: argparse.Namespace) -> None:
    """Trains the rows and prints the table."""
    for row in options.rows:
        if not options.only_table:
            train(row, options)
    cells = [found for row in options.rows for found in results(row, options)]
    if not cells:
        raise UserError(f'{options.runs} has no finished training of {options.steps} steps')
    used = [i for i in range(2 + len(COLUMNS)) if any(found[i] for found in cells)]
    headings = ('row', 'direction', *COLUMNS.values())
    text = table([headings[i] for i in used], [[found[i] for i in used] for found in cells])
    print(text)
    if options.json:
        names = ('row', 'direction', *COLUMNS)
        pathlib.Path(options.json).write_text(json.dumps([dict(zip(names, found)) for found in cells], indent=1) + '\n')


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = make_parser('study', __doc__)
    parser.add_argument('--runs', required=True, metavar='DIR', help='folder of the trainings')
    parser.add_argument('--source', default='synthetic:faces', help='data.source (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=2000, help='of each training (default: %(default)s)')
    parser.add_argument('--rows', nargs='+', default=list(ROWS), choices=ROWS, metavar='ROW', help=f'of {", ".join(ROWS)}')
    parser.add_argument('--set', nargs='*', default=[], metavar='FIELD=VALUE', help='fields of the config for all rows')
    parser.add_argument('--only_table', action='store_true', help='of the trainings that are finished')
    options = parser.parse_args(arguments)
    return run_command(lambda: study(options))


if __name__ == '__main__':
    sys.exit(main())
