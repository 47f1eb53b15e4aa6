"""docs/results.md beside the official PyTorch code: on the same data from the same weights.

Of runs/ours0 and, where they are there, runs/ours1 and so on, seeds of one config; of runs/official, by
benchmarks.official_run --like=runs/ours0; and of runs/speed.json, by `python -m benchmarks.vs_pytorch --image_size=64
--n_layers_global=6 --sides ours official --json=runs/speed.json`, pinned to one core. Its median CPU seconds a step turn
steps into seconds, as the trainings themselves may have shared their machine.
"""

import json
import pathlib
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.common import require_evaluations, table
from benchmarks.results_emoji import SHOWN, all_images, draw_sheet, test_sources
from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.convert.read_official import read_official
from ugatit_jax.data.sources.open_source import Source
from ugatit_jax.report.curves import BLUES, ORANGES, STYLE
from ugatit_jax.translate.translator import Translator

METRICS = {
    'truth_l1_share': 'truth L1 / input',
    'truth_perceptual': 'truth perceptual',
    'domain_accuracy': 'domain accuracy',
    'kid_effnet': 'KID, EfficientNet-Lite0',
}
OFFICIAL = 'official PyTorch'


class Side(NamedTuple):
    """One training."""

    name: str
    path: pathlib.Path
    seconds: float  # of a step, on one core
    rows: dict[int, dict[str, float]]  # evaluations by step


def read_sides(runs: pathlib.Path) -> list[Side]:
    """Our seeds and, last, the official side; raises UserError where one has no evaluations."""
    speed = json.loads((runs / 'speed.json').read_text())['results']
    ours = sorted(runs.glob('ours[0-9]'))
    sides = [Side(f'ours, seed {run.name[4:]}', run, speed['ours']['cpu_seconds'], {}) for run in ours]
    sides.append(Side(OFFICIAL, runs / 'official', speed['official']['cpu_seconds'], {}))
    for side in sides:
        side.rows.update({row['step']: row for row in require_evaluations(side.path)})
    return sides


def same_steps(sides: list[Side]) -> list[int]:
    """The steps at which all sides were evaluated; raises UserError where there are none."""
    steps = sorted(set.intersection(*(set(side.rows) for side in sides)))
    if not steps:
        raise UserError('the trainings were evaluated at no step in common')
    return steps


def at_equal_steps(sides: list[Side]) -> str:
    """A row for each step and side."""
    cells = [
        (step, side.name, f'{step * side.seconds:.0f}', *numbers(side.rows[step]))
        for step in same_steps(sides)
        for side in sides
    ]
    return table(('step', 'training', 'seconds', *METRICS.values()), cells)


def at_equal_seconds(sides: list[Side]) -> str:
    """For the official side's evaluations the newest of ours that had as many seconds."""
    cells = []
    for step, row in sorted(sides[-1].rows.items()):
        seconds = step * sides[-1].seconds
        cells.append((f'{seconds:.0f}', OFFICIAL, step, *numbers(row)))
        for side in sides[:-1]:
            within = [ours for ours in side.rows if ours * side.seconds <= seconds]
            # a training that had ended before, an interval of evaluations ago, has no number at this time
            if within and seconds <= (max(side.rows) + min(side.rows)) * side.seconds:
                cells.append((f'{seconds:.0f}', side.name, max(within), *numbers(side.rows[max(within)])))
    return table(('seconds', 'training', 'step', *METRICS.values()), cells)


def numbers(row: dict[str, float]) -> list[str]:
    """The metrics of an evaluation, means of both directions."""
    return [f'{row[name]:.3f}' if name in row else '' for name in METRICS]


def curves(sides: list[Side]) -> Figure:
    """Truth L1 and perceptual distance, over steps and over seconds."""
    import matplotlib

    colours = dict(zip([side.name for side in sides], [*BLUES, ORANGES[0]]))
    with matplotlib.rc_context(STYLE):
        figure = Figure((8, 5), layout='constrained')
        for axes_row, (name, title) in zip(figure.subplots(2, 2), list(METRICS.items())[:2]):
            for axes, unit in zip(axes_row, ('steps', 'minutes')):
                for side in sides:
                    steps = np.array(sorted(side.rows))
                    x = steps if unit == 'steps' else steps * side.seconds / 60
                    values = [side.rows[step][name] for step in steps]
                    axes.plot(x, values, color=colours[side.name], marker='.', label=side.name)
                axes.set_title(title, loc='left')
                axes.set_xlabel(unit)
                axes.legend(frameon=False)
    return figure


def generators_at(side: Side, step: int, like: LoadedGenerators) -> LoadedGenerators:
    """The generators that a side had at a step; the official ones in the config of `like`."""
    if side.name != OFFICIAL:
        return load_generators(str(side.path), step=step, weights='raw')
    path = str(side.path / f'official_params_{step:07d}.pt')
    return like._replace(generator=read_official(path, like.config.data.image_size, None, None).generator)


def sheet(sides: list[Side], sources: dict[str, Source], step: int) -> Image.Image:
    """A to B of some test images: the input, each side's translations at a step, the true image."""
    shown = [list(sources['A'].keys).index(key) for key in SHOWN]
    images = {domain: all_images(source)[shown] for domain, source in sources.items()}
    like = load_generators(str(sides[0].path), step=step, weights='raw')
    fakes = [(f'{step}: {side.name}', Translator(generators_at(side, step, like), 'a2b')(images['A'])) for side in sides]
    return draw_sheet([[('real A', images['A'])], fakes, [('true B', images['B'])]], title_width=150)


def beside_official(runs: pathlib.Path) -> dict[str, str | Figure | Image.Image]:
    """The tables, the curves and the images, these at the newest step in common."""
    sides = read_sides(runs)
    return {
        'official steps': at_equal_steps(sides),
        'official seconds': at_equal_seconds(sides),
        'official_curve.png': curves(sides),
        'official.png': sheet(sides, test_sources(), same_steps(sides)[-1]),
    }
