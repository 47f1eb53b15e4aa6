"""Curves of metrics over the steps, as small SVG images for the page of a run."""

import io
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup, escape

if TYPE_CHECKING:  # imported where curves are drawn: a run starts without it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 240  # of a curve: more cannot be told apart in images of this width
SMOOTHING = 0.05  # window of the moving average, as a share of the curve's points
LOG_RATIO = 20.0  # the axis is logarithmic where the largest value is more than this times the smallest
PANEL, SMALL_PANEL = (4.4, 2.5), (2.4, 1.5)  # width, height in inches; at 72 dpi about a column of the page's grid
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
    'grid.color': '#9aa3ad40',  # a quarter opaque: for light and dark pages
    'xtick.color': '#5d6772',
    'ytick.color': '#5d6772',
}


class Curve(NamedTuple):
    """A metric over the steps in n <= MAX_POINTS points, all float64 [n]; low = mean = high where each is one logged row."""

    steps: np.ndarray
    low: np.ndarray
    mean: np.ndarray
    high: np.ndarray


def downsample(steps: np.ndarray, values: np.ndarray, points: int = MAX_POINTS) -> Curve:
    """Logged rows [n], sorted by step, in at most `points` bins of neighbours: last step, minimum, mean, maximum of each."""
    starts = np.unique(np.linspace(0, len(steps), min(points, len(steps)), endpoint=False).astype(int))
    ends = np.append(starts[1:], len(steps))
    return Curve(
        steps[ends - 1],
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values, starts) / (ends - starts),
        np.maximum.reduceat(values, starts),
    )


def moving_average(values: np.ndarray) -> np.ndarray:
    """The centred moving average of values [n] over SMOOTHING * n of them, fewer at both ends: [n]."""
    window = 2 * round(len(values) * SMOOTHING / 2) + 1
    ones = np.ones(window)
    return np.convolve(values, ones, 'same') / np.convolve(np.ones(len(values)), ones, 'same')


def draw_curves(curves: dict[str, Curve], label: str, linear: bool = False) -> Markup:
    """Several metrics in one image: pale as logged, or from low to high, and over it the moving average.

    The axis is logarithmic where the averages differ by more than LOG_RATIO, unless `linear`. Outliers may lie outside.
    """
    figure, axes = new_figure(*PANEL)
    smoothed = {name: moving_average(curve.mean) for name, curve in curves.items()}
    everything = np.concatenate(list(smoothed.values()))
    if not linear and everything.min() > 0 and everything.max() > LOG_RATIO * everything.min():
        axes.set_yscale('log')
    elif abs(everything).max() >= 1e4:  # 20k instead of 20000, as wide as the margin
        axes.yaxis.set_major_formatter(engineering_notation())
    else:
        axes.ticklabel_format(axis='y', scilimits=(-3, 4), useMathText=True)
    # the legend leaves out a common prefix, but of short names: GA of D_ad_GA, but D_A
    start = os.path.commonprefix(list(curves)).rfind('_') + 1 if max(map(len, curves)) > 5 else 0
    for (name, curve), colour in zip(curves.items(), colours(list(curves))):
        if (curve.low < curve.high).any():
            axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
        else:
            axes.plot(curve.steps, curve.mean, color=colour, alpha=0.3, linewidth=0.8)
        marker = 'o' if len(curve.steps) == 1 else None  # a line through one point is invisible
        axes.plot(curve.steps, smoothed[name], color=colour, linewidth=1.6, label=name[start:], marker=marker)
    # outliers, 1% at each end, do not stretch the axis
    low = min(everything.min(), np.percentile(np.concatenate([curve.low for curve in curves.values()]), 1))
    high = max(everything.max(), np.percentile(np.concatenate([curve.high for curve in curves.values()]), 99))
    if axes.get_yscale() == 'linear' and low < high:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if len(curves) > 1:
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


def draw_band(low: Curve, mean: Curve, high: Curve, label: str, colour: str = BLUES[0]) -> Markup:
    """A mean in the band between a minimum and a maximum, all in [0, 1], in one small image."""
    figure, axes = new_figure(*SMALL_PANEL)
    axes.fill_between(mean.steps, low.low, high.high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(mean.steps, mean.mean, color=colour, linewidth=1.5, marker='o' if len(mean.steps) == 1 else None)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ['0', '0.5', '1'])
    return svg(figure, label)


def colours(names: list[str]) -> list[str]:
    """Blue for metrics of A and A2B, orange for those of B and B2A; the second of each in a paler shade."""
    used, result = {BLUES: 0, ORANGES: 0}, []
    for name in names:
        pair = ORANGES if name.endswith(('B', 'B2A')) and not name.endswith('A2B') else BLUES
        result.append(pair[used[pair] % 2])
        used[pair] += 1
    return result


def new_figure(width: float, height: float) -> 'tuple[Figure, Axes]':
    """A figure of width x height inches, and its axes over the steps."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height))
        # margins in inches, whatever the size: 0.32 for the numbers on the left, 0.26 for those below
        axes = figure.add_axes((0.32 / width + 0.05, 0.26 / height, 0.93 - 0.32 / width, 1 - 0.5 / height))
        axes.xaxis.set_major_locator(MaxNLocator(4 if width > 3 else 2, integer=True))
        axes.xaxis.set_major_formatter(engineering_notation())
        axes.margins(x=0.01)
        axes.tick_params(length=0)
    return figure, axes


def engineering_notation() -> Any:
    """Numbers of an axis as 20k, not 20000."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep='')


def svg(figure: 'Figure', label: str) -> Markup:
    """A figure as a small <svg> element for embedding; `label` is for screen readers."""
    import matplotlib

    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format='svg', transparent=True)
    text = file.getvalue()
    text = re.sub(r'<metadata>.*?</metadata>', '', text[text.index('<svg') :], flags=re.DOTALL)
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r'(\.\d)\d+', r'\1', path[0]), text)  # a tenth of a point is enough
    return Markup(text.replace('<svg ', f'<svg role="img" aria-label="{escape(label)}" ', 1))
