"""Table of the runs of launch/ablation.sh beside the paper's Table 1: RUNS/ablation.md and RUNS/ablation.json.

    python -m ugatit_jax.evaluate.ablation RUNS

RUNS/ROW/seedN are workdirs that `--mode=eval` has evaluated; rows and seeds without an evaluation are left out.
"""

import json
import pathlib
import re
import sys
from typing import Any, NamedTuple

from ugatit_jax.common.command import argument_parser, run_command
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import atomic_write_text
from ugatit_jax.evaluate.metrics import METRICS, format_number
from ugatit_jax.models.names import DIRECTIONS

PAPER = {  # KID x 100 of the paper's Table 1: selfie2anime, anime2selfie
    'paper': (11.61, 11.52),
    'in': (13.64, 13.58),
    'ln': (12.39, 13.17),
    'adain': (12.29, 11.81),
    'gn': (12.76, 12.30),
    'no_cam': (12.85, 14.06),
    'no_generator_cam': (12.33, 13.86),
    'no_discriminator_cam': (12.49, 13.33),
}
PAPER_NOTE = (
    'Paper: KID x 100 of its Table 1, selfie2anime / anime2selfie at 256x256 after a million steps. Very probably its '
    "authors' mean of KID to the target and to the source, so not plain KID. Its model is the full one."
)
ANY_MODEL = '-'  # of AdaIN, which has no MLP and so neither a full nor a light model
MADE_BY = 'ugatit_jax.ablation'  # in ablation.json: marks a file that may be replaced
COLUMNS = ('domain_accuracy', 'cycle_l1', 'identity_l1', 'pointing_accuracy', 'heatmap_iou', 'kid', 'kid_mean', 'fid')
BY_DIRECTION = ('kid', 'kid_mean', 'fid')  # shown for each direction, as in the paper; the others as the mean of both


class Run(NamedTuple):
    """The newest evaluation of one run."""

    row: str
    seed: int
    path: str
    about: dict[str, str]  # model, step, data, image size, protocol: have to be equal in all runs of a table
    metrics: dict[str, dict[str, float]]  # by direction


def read_runs(folder: pathlib.Path, protocol: str | None = None) -> list[Run]:
    """The newest evaluation of every FOLDER/ROW/seedN, in the order of PAPER.

    protocol: of the evaluations to read; any by default. Raises UserError where there are none or one cannot be read.
    """
    runs = []
    for row in PAPER:
        for workdir in sorted(folder.glob(f'{row}/seed*'), key=lambda path: (len(path.name), path.name)):
            if (seed := re.fullmatch(r'seed(\d+)', workdir.name)) and (path := newest_metrics(workdir, protocol)):
                runs.append(read_run(row, int(seed[1]), path))
    if not runs:
        raise UserError(
            f'{folder} has no evaluated run, ROW/seedN/evaluation/STEP-PROTOCOL/metrics.json as launch/ablation.sh writes '
            f'them; rows are {", ".join(PAPER)}'
        )
    return runs


def newest_metrics(workdir: pathlib.Path, protocol: str | None) -> pathlib.Path | None:
    """metrics.json of the last evaluated step, None without any; raises UserError where it has several protocols."""
    found: dict[int, list[pathlib.Path]] = {}
    for path in workdir.glob('evaluation/*/metrics.json'):
        step, _, used = path.parent.name.partition('-')
        if step.isdecimal() and protocol in (None, used):
            found.setdefault(int(step), []).append(path)
    if not found:
        return None
    last = sorted(found[max(found)])
    if len(last) > 1:
        names = ', '.join(path.parent.name.partition('-')[2] for path in last)
        raise UserError(f'{workdir} was evaluated by several protocols, {names}: choose one by --protocol')
    return last[0]


def read_run(row: str, seed: int, path: pathlib.Path) -> Run:
    """A run from its metrics.json; raises UserError where that is not one of --mode=eval."""
    try:
        found = json.loads(path.read_text())
        metrics = {
            direction: {name: float(value['value']) for name, value in found['metrics'][direction].items()}
            for direction in DIRECTIONS
        }
        about = {name: str(found.get(name, '?')) for name in ('model', 'step', 'data', 'image size')}
        if row == 'adain':
            about['model'] = ANY_MODEL
        about['protocol'] = str(found['protocol']['name'])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{path} is not an evaluation of --mode=eval ({first_line(error)}); evaluate that run again'
        ) from error
    return Run(row, seed, str(path), about, metrics)


def differences(runs: list[Run]) -> list[str]:
    """A line for each of model, step, data, image size and protocol in which the runs differ."""
    lines = []
    for name in runs[0].about:
        values: dict[str, list[str]] = {}
        for run in runs:
            if run.about[name] != ANY_MODEL:
                values.setdefault(run.about[name], []).append(f'{run.row}/seed{run.seed}')
        if len(values) > 1:
            groups = '; '.join(f'{value}: {", ".join(names)}' for value, names in values.items())
            lines.append(f'The runs differ in {name} and cannot be compared: {groups}')
    return lines


def summary(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """By row: its seeds, its metrics, the paper's KID.

    A metric has `runs`, the mean of both directions of each run, and `A2B`, `B2A`, the mean over seeds of each direction.
    """
    rows = {}
    for row in dict.fromkeys(run.row for run in runs):
        own = [run for run in runs if run.row == row]
        metrics = {}
        for name in dict.fromkeys(name for run in own for name in run.metrics['A2B']):
            values = [[run.metrics[d][name] for d in DIRECTIONS if name in run.metrics[d]] for run in own]
            if all(len(pair) == len(DIRECTIONS) for pair in values):
                metrics[name] = {
                    'runs': [sum(pair) / len(pair) for pair in values],
                    **{d: sum(pair[i] for pair in values) / len(values) for i, d in enumerate(DIRECTIONS)},
                }
        rows[row] = {'seeds': [run.seed for run in own], 'metrics': metrics, 'paper_kid_x100': list(PAPER[row])}
    return rows


def markdown(runs: list[Run]) -> str:
    """The table and the notes below it."""
    rows = summary(runs)
    names = [name for name in COLUMNS if any(name in row['metrics'] for row in rows.values())]
    header = ['row', 'seeds', *(METRICS[name].title for name in names), 'paper']
    lines = [header, ['---'] * len(header)]
    for row, found in rows.items():
        cells = [cell(name, found['metrics'].get(name)) for name in names]
        lines.append([row, str(len(found['seeds'])), *cells, ' / '.join(f'{value:.2f}' for value in PAPER[row])])
    about = ', '.join(f'{name} {value}' for name, value in runs[0].about.items())
    legend = (
        'Mean of both directions and all seeds; in brackets the smallest and the largest run, which is no confidence '
        'interval. KID and FID: A2B / B2A.'
    )
    notes = differences(runs) or [f'All runs: {about}.']
    missing = [row for row in PAPER if row not in rows]
    if missing:
        notes.append(f'Not run: {", ".join(missing)}.')
    table = '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
    return '\n\n'.join([table, legend, *notes, PAPER_NOTE]) + '\n'


def cell(name: str, metric: dict[str, Any] | None) -> str:
    """A cell of the table: '0.912 (0.900 to 0.924)', '4.200 / 5.100' for KID, '-' where a row has no such metric."""
    if metric is None:
        return '-'
    if name in BY_DIRECTION:
        return ' / '.join(format_number(name, metric[direction]) for direction in DIRECTIONS)
    runs = metric['runs']
    mean, low, high = (format_number(name, value) for value in (sum(runs) / len(runs), min(runs), max(runs)))
    return mean if len(runs) == 1 else f'{mean} ({low} to {high})'


def write_table(folder: pathlib.Path, runs: list[Run]) -> list[pathlib.Path]:
    """Writes ablation.json and ablation.md atomically; raises UserError rather than overwrite files that are not ours."""
    paths = [folder / 'ablation.json', folder / 'ablation.md']
    if any(path.exists() for path in paths) and not is_ablation(paths[0]):
        raise UserError(f'{folder} has an ablation.md or ablation.json that this command did not write; move it away')
    found = {'made_by': MADE_BY, 'rows': summary(runs), 'runs': [run._asdict() for run in runs], 'notes': differences(runs)}
    texts = (json.dumps(found, indent=1, allow_nan=False) + '\n', markdown(runs))
    for path, text in zip(paths, texts, strict=True):
        atomic_write_text(path, text)
    return paths


def is_ablation(path: pathlib.Path) -> bool:
    """Whether an ablation.json was written by this module."""
    try:
        return json.loads(path.read_text())['made_by'] == MADE_BY
    except (OSError, ValueError, KeyError, TypeError):
        return False


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.evaluate.ablation', __doc__)
    parser.add_argument('runs', type=pathlib.Path, help='folder of ROW/seedN')
    parser.add_argument('--protocol', help='of the evaluations to read, where runs have several')
    options = parser.parse_args(arguments)

    def run() -> None:
        runs = read_runs(options.runs, options.protocol)
        paths = write_table(options.runs, runs)
        print(markdown(runs) + '\n' + '\n'.join(f'wrote {path}' for path in paths))

    return run_command(run)


if __name__ == '__main__':
    sys.exit(main())
