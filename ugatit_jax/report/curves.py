"""Curves of metrics over the steps as small SVG images for the pages."""

import io
import os
import re
from typing import NamedTuple

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

POINTS = 240  # of a line at most: more cannot be told apart in images of this width
SMOOTHING = 0.05  # of a line's length: window of the moving average
LOG_FROM = 20.0  # curves that spread over more than this factor have a logarithmic axis
BLUES, ORANGES = ('#0b61a4', '#74b2e0'), ('#c2571a', '#f0ab74')  # A or A2B, B or B2A
STYLE = {
    'svg.fonttype': 'none',
    'font.size': 9,
    'path.simplify': False,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#9aa3ad',
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': '#e8ebee',
    'xtick.color': '#5d6772',
    'ytick.color': '#5d6772',
}


class Line(NamedTuple):
    """A metric over the steps, at most POINTS points, all float64 [n]; low = mean = high where no rows were put together."""

    steps: np.ndarray
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def thin(steps: np.ndarray, values: np.ndarray, points: int = POINTS) -> Line:
    """Rows [n], in order of their steps, in at most `points` groups of neighbours: last step, extremes and mean of each."""
    starts = np.unique(np.linspace(0, len(steps), min(points, len(steps)), endpoint=False).astype(int))
    ends = np.append(starts[1:], len(steps))
    return Line(
        steps[ends - 1],
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values, starts) / (ends - starts),
        np.maximum.reduceat(values, starts),
    )


def smooth(values: np.ndarray) -> np.ndarray:
    """The centred moving average of values [n] over SMOOTHING of their number; shorter at both ends."""
    window = 2 * round(len(values) * SMOOTHING / 2) + 1
    ones = np.ones(window)
    return np.convolve(values, ones, 'same') / np.convolve(np.ones(len(values)), ones, 'same')


def draw_lines(lines: dict[str, Line], label: str, linear: bool = False) -> Markup:
    """Metrics in one image: each pale as it was logged (or from its groups' smallest to largest), and smoothed over it.

    The axis is logarithmic where the smoothed curves spread far, unless `linear`; a few outliers may lie outside of it.
    """
    figure, axes = new_figure(4.4, 2.5)
    smoothed = {name: smooth(line.mean) for name, line in lines.items()}
    everything = np.concatenate(list(smoothed.values()))
    if not linear and everything.min() > 0 and everything.max() > LOG_FROM * everything.min():
        axes.set_yscale('log')
    elif abs(everything).max() >= 1e4:
        axes.yaxis.set_major_formatter(EngFormatter(sep=''))
    else:
        axes.ticklabel_format(axis='y', scilimits=(-2, 4), useMathText=True)
    start = os.path.commonprefix(list(lines)).rfind('_') + 1 if max(map(len, lines)) > 5 else 0
    for (name, line), colour in zip(lines.items(), colours(list(lines))):
        if (line.low < line.high).any():
            axes.fill_between(line.steps, line.low, line.high, color=colour, alpha=0.16, linewidth=0)
        else:
            axes.plot(line.steps, line.mean, color=colour, alpha=0.3, linewidth=0.8)
        # a single point is no line
        axes.plot(
            line.steps,
            smoothed[name],
            color=colour,
            linewidth=1.6,
            label=name[start:],
            marker='o' if len(line.steps) == 1 else None,
        )
    low = min(everything.min(), np.percentile(np.concatenate([line.low for line in lines.values()]), 1))
    high = max(everything.max(), np.percentile(np.concatenate([line.high for line in lines.values()]), 99))
    if axes.get_yscale() == 'linear' and low < high:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if len(lines) > 1:
        axes.legend(
            loc='lower left',
            bbox_to_anchor=(-0.02, 0.99),
            ncols=4,
            fontsize=8,
            handlelength=1,
            columnspacing=1.5,
            borderpad=0.2,
            frameon=False,
        )
    return svg(figure, label)


def draw_band(low: Line, mean: Line, high: Line, label: str, colour: str = BLUES[0]) -> Markup:
    """A mean between its smallest and its largest, all in [0, 1]."""
    figure, axes = new_figure(2.4, 1.5)
    axes.fill_between(mean.steps, low.low, high.high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(mean.steps, mean.mean, color=colour, linewidth=1.5, marker='o' if len(mean.steps) == 1 else None)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ['0', '0.5', '1'])
    return svg(figure, label)


def colours(names: list[str]) -> list[str]:
    """Blue for domain A and the way from A to B, orange for B; the paler of each for the second line of its kind."""
    found, result = {BLUES: 0, ORANGES: 0}, []
    for name in names:
        pair = ORANGES if name.endswith(('B', 'B2A')) and not name.endswith('A2B') else BLUES
        result.append(pair[found[pair] % 2])
        found[pair] += 1
    return result


def new_figure(width: float, height: float) -> tuple[Figure, matplotlib.axes.Axes]:
    """A figure of that many inches, and its axes over the steps."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0.32 / width + 0.05, 0.26 / height, 0.93 - 0.32 / width, 1 - 0.5 / height))
        axes.xaxis.set_major_locator(MaxNLocator(4 if width > 3 else 2, integer=True))
        axes.xaxis.set_major_formatter(EngFormatter(sep=''))
        axes.margins(x=0.01)
        axes.tick_params(length=0)
    return figure, axes


def svg(figure: Figure, label: str) -> Markup:
    """A figure as an <svg> element, without what a browser does not need; `label` is for those who cannot see it."""
    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format='svg', transparent=True)
    text = file.getvalue()
    text = re.sub(r'<metadata>.*?</metadata>', '', text[text.index('<svg') :], flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r'(\.\d)\d+', r'\1', path[0]), text)  # a tenth of a point is enough
    return Markup(text.replace('<svg ', f'<svg role="img" aria-label="{escape(label)}" ', 1))
