"""One table of the runs of launch/ablation.sh beside the paper's Table 1: RUNS/ablation.md and RUNS/ablation.json.

    python -m ugatit_jax.evaluate.ablation RUNS

RUNS/ROW/seedN are workdirs that `--mode=eval` has evaluated; rows or seeds that are not there yet are left out.
"""

import argparse
import json
import pathlib
import re
import sys
from typing import Any, NamedTuple

from ugatit_jax.command import run_command
from ugatit_jax.config.derived import DIRECTIONS
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.evaluate.results import METRICS
from ugatit_jax.files import atomic_write_text

PAPER = {  # KID x 100 of its Table 1: selfie2anime, anime2selfie
    'paper': (11.61, 11.52),
    'in': (13.64, 13.58),
    'ln': (12.39, 13.17),
    'adain': (12.29, 11.81),
    'gn': (12.76, 12.30),
    'no_cam': (12.85, 14.06),
    'no_generator_cam': (12.33, 13.86),
    'no_discriminator_cam': (12.49, 13.33),
}
ABOUT_PAPER = (
    'Paper: KID x 100 of its Table 1, selfie2anime / anime2selfie at 256x256 after a million steps. Very probably its '
    "authors' mean of KID to the target and to the source, so not plain KID."
)
MADE_BY = 'ugatit_jax.ablation'


COLUMNS = ('domain_accuracy', 'cycle_l1', 'identity_l1', 'pointing_accuracy', 'heatmap_iou', 'kid', 'kid_mean', 'fid')
BY_DIRECTION = ('kid', 'kid_mean', 'fid')  # as the paper has them


class Run(NamedTuple):
    """The newest evaluation of one run."""

    row: str
    seed: int
    path: str
    about: dict[str, str]  # step, protocol, data, image size: what has to be equal in a table
    metrics: dict[str, dict[str, float]]  # by direction


def read_runs(folder: pathlib.Path, protocol: str | None = None) -> list[Run]:
    """The runs below a folder in the order of the rows; raises UserError where there are none or one cannot be read."""
    runs = []
    for row in PAPER:
        for workdir in sorted(folder.glob(f'{row}/seed*'), key=lambda path: (len(path.name), path.name)):
            if (seed := re.fullmatch(r'seed(\d+)', workdir.name)) and (path := newest(workdir, protocol)):
                runs.append(read_run(row, int(seed[1]), path))
    if not runs:
        raise UserError(
            f'{folder} has no evaluated run: ROW/seedN/evaluation/STEP-PROTOCOL/metrics.json, as launch/ablation.sh makes '
            f'them; rows are {", ".join(PAPER)}'
        )
    return runs


def newest(workdir: pathlib.Path, protocol: str | None) -> pathlib.Path | None:
    """metrics.json of the largest evaluated step; raises UserError where two protocols evaluated it."""
    found: dict[int, list[pathlib.Path]] = {}
    for path in workdir.glob('evaluation/*/metrics.json'):
        step, _, own = path.parent.name.partition('-')
        if step.isdecimal() and protocol in (None, own):
            found.setdefault(int(step), []).append(path)
    if not found:
        return None
    last = sorted(found[max(found)])
    if len(last) > 1:
        names = ', '.join(path.parent.name.partition('-')[2] for path in last)
        raise UserError(f'{workdir} was evaluated in several ways, {names}: choose by --protocol')
    return last[0]


def read_run(row: str, seed: int, path: pathlib.Path) -> Run:
    """A run from its metrics.json; raises UserError."""
    try:
        found = json.loads(path.read_text())
        metrics = {
            direction: {name: float(value['value']) for name, value in found['metrics'][direction].items()}
            for direction in DIRECTIONS
        }
        about = {name: str(found.get(name, '?')) for name in ('step', 'data', 'image size')}
        about['protocol'] = str(found['protocol']['name'])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f'{path} is no evaluation of --mode=eval ({first_line(error)}); evaluate that run again') from error
    return Run(row, seed, str(path), about, metrics)


def differing(runs: list[Run]) -> list[str]:
    """A line for everything in which the runs are not alike and should be."""
    lines = []
    for name in runs[0].about:
        values: dict[str, list[str]] = {}
        for run in runs:
            values.setdefault(run.about[name], []).append(f'{run.row}/seed{run.seed}')
        if len(values) > 1:
            said = '; '.join(f'{value}: {", ".join(which)}' for value, which in values.items())
            lines.append(f'Not alike in {name}, so not to be compared: {said}')
    return lines


def summary(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """By row: seeds, and of each metric every run's mean of both directions, and by direction the mean over seeds."""
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
    """The table, and what it is made of."""
    rows = summary(runs)
    names = [name for name in COLUMNS if any(name in row['metrics'] for row in rows.values())]
    header = ['row', 'seeds', *(METRICS[name].title for name in names), 'paper']
    lines = [header, ['---'] * len(header)]
    for row, found in rows.items():
        cells = [shown(name, found['metrics'].get(name)) for name in names]
        lines.append([row, str(len(found['seeds'])), *cells, ' / '.join(f'{value:.2f}' for value in PAPER[row])])
    about = ', '.join(f'{name} {value}' for name, value in runs[0].about.items())
    several = (
        'Mean of both directions and all seeds; in brackets the smallest and the largest run, which is no confidence '
        'interval. KID and FID: A2B / B2A.'
    )
    notes = differing(runs) or [f'All runs: {about}.']
    missing = [row for row in PAPER if row not in rows]
    if missing:
        notes.append(f'Not run: {", ".join(missing)}.')
    table = '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
    return '\n\n'.join([table, several, *notes, ABOUT_PAPER]) + '\n'


def shown(name: str, metric: dict[str, Any] | None) -> str:
    """A cell: '0.912 (0.900 to 0.924)', '4.20 / 5.10' for KID and FID, '-' where a row has no such metric."""
    if metric is None:
        return '-'

    def number(value: float) -> str:
        return f'{value * METRICS[name].factor:.{METRICS[name].digits}f}'

    if name in BY_DIRECTION:
        return ' / '.join(number(metric[direction]) for direction in DIRECTIONS)
    runs = metric['runs']
    mean = number(sum(runs) / len(runs))
    return mean if len(runs) == 1 else f'{mean} ({number(min(runs))} to {number(max(runs))})'


def write(folder: pathlib.Path, runs: list[Run]) -> list[pathlib.Path]:
    """Writes ablation.json and ablation.md, each appears whole; raises UserError rather than replace others' files."""
    paths = [folder / 'ablation.json', folder / 'ablation.md']
    if any(path.exists() for path in paths) and not ours(paths[0]):
        raise UserError(f'{folder} has an ablation.md or ablation.json that was not made here; move it away')
    found = {'made_by': MADE_BY, 'rows': summary(runs), 'runs': [run._asdict() for run in runs], 'notes': differing(runs)}
    texts = (json.dumps(found, indent=1, allow_nan=False) + '\n', markdown(runs))
    for path, text in zip(paths, texts, strict=True):
        atomic_write_text(path, text)
    return paths


def ours(path: pathlib.Path) -> bool:
    """Whether an ablation.json is one that this module wrote."""
    try:
        return json.loads(path.read_text())['made_by'] == MADE_BY
    except (OSError, ValueError, KeyError, TypeError):
        return False


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', type=pathlib.Path, help='folder of ROW/seedN')
    parser.add_argument('--protocol', help='of the evaluations, where runs have several')
    options = parser.parse_args(arguments)

    def run() -> None:
        runs = read_runs(options.runs, options.protocol)
        paths = write(options.runs, runs)
        print(markdown(runs) + '\n' + '\n'.join(f'wrote {path}' for path in paths))

    return run_command(run)


if __name__ == '__main__':
    sys.exit(main())
