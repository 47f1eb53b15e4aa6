"""The panels on the page of a run: which metrics share one, in what order, and what they mean."""

import functools
import re
from typing import Any

import numpy as np

from ugatit_jax.report.curves import BLUES, ORANGES, downsample, draw_band, draw_curves
from ugatit_jax.report.terms import TERMS, mean_terms

MetricSeries = dict[str, tuple[np.ndarray, np.ndarray]]  # by metric: steps and values, float64 [n], sorted by step

SECTIONS = (  # title, text, panels: (title, meaning, pattern of the metrics in it)
    (
        'Losses',
        'Pale: as logged; strong: moving average. Terms are unweighted but for the sums at the end.',
        (
            ('Discriminators on patches (D_ad)', 'lsgan: 0.5 is chance, 0 a perfect discriminator', r'D_ad_[GL][AB]'),
            ('Discriminators on attention (D_cam)', 'the same on the CAM logits', r'D_cam_[GL][AB]'),
            (
                'Gradient penalty on patches (D_gp)',
                'gradient penalty on patch logits; 0: every gradient has norm 1',
                r'D_gp_[GL][AB]',
            ),
            ('Gradient penalty on attention (D_gpcam)', 'the same on the CAM logits', r'D_gpcam_[GL][AB]'),
            ('Generators against patches (G_ad)', 'lsgan: 0.25 is chance, 1 a perfect discriminator', r'G_ad_[GL][AB]'),
            ('Generators against attention (G_adcam)', 'the same on the CAM logits', r'G_adcam_[GL][AB]'),
            ('As the teacher (G_l1)', 'mean absolute difference, images in [-1, 1]', r'G_l1_[AB]'),
            ('As the teacher sees it (G_feature)', 'the same of features of its encoder', r'G_feature_[AB]'),
            ('There and back (G_recon)', 'cycle: mean absolute difference, images in [-1, 1]', r'G_recon_[AB]'),
            ('The own domain stays (G_id)', 'identity on the target domain: mean absolute difference', r'G_id_[AB]'),
            ('Attention tells the domains apart (G_cam)', 'CAM, source against target; 1.39 is chance', r'G_cam_[AB]'),
            ('Discriminators, weighted (D_A, D_B)', 'weighted sum for each domain', r'D_[AB]'),
            ('Generators, weighted (G_A, G_B)', 'weighted sum for each domain', r'G_[AB]'),
            ('Totals (D, G)', 'what the optimisers minimise', r'[DG]'),
        ),
    ),
    ('Evaluation', '', (('eval', '', r'eval.*'),)),
    (
        'Optimisation',
        '',
        (
            ('Learning rate (learning_rate)', '', r'learning_rate(_D)?'),
            ('Gradient norms of the generators', '', r'grad_norm_gen.*'),
            ('Gradient norms of the discriminators', '', r'grad_norm_dis.*'),
        ),
    ),
    (
        'Speed',
        '',
        (
            ('Speed (images_per_second)', '', r'images_per_second'),
            ('Waiting for data (data_wait)', 'share of the time spent waiting for data; high: input-bound', r'data_wait'),
            ('Device memory', 'bytes of the fullest device', r'(peak_)?bytes_in_use'),
        ),
    ),
)
MAX_VALUE = 1e300  # just below the largest float: what Matplotlib can still scale
RHO = re.compile(r'rho_(min|mean|max)/(\w+)/(\w+)')
KEY_FIGURES = TERMS | {
    'images_per_second': 'of each domain, over all devices',
    'data_wait': 'share of the time spent waiting for data',
}


def metric_series(rows: list[dict[str, Any]]) -> tuple[MetricSeries, int]:
    """The series of every metric from logged rows, and the number of values left out as they are not finite numbers.

    Rows may be in any order; of several with the same step the last counts.
    """
    series: dict[str, tuple[list[int], list[float]]] = {}
    left_out = 0
    for _, row in sorted({row['step']: row for row in rows}.items()):
        step = row['step']
        for name, value in row.items():
            if name == 'step':
                continue
            if not isinstance(value, (int, float)) or not abs(value) < MAX_VALUE:
                left_out += 1
                continue
            steps, values = series.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
    return {name: (np.array(steps, float), np.array(values, float)) for name, (steps, values) in series.items()}, left_out


def key_figures(series: MetricSeries, rows: int = 10) -> tuple[list[dict[str, str]], int]:
    """Means of KEY_FIGURES over the last rows, [{'name', 'text', 'value'}], and the number of rows; losses unweighted."""
    last = {name: values[-rows:].mean() for name, (_, values) in series.items()}
    values = mean_terms(last) | {name: last[name] for name in KEY_FIGURES if name in last}
    figures = [
        {
            'name': 'images/s' if name == 'images_per_second' else name,
            'text': KEY_FIGURES[name],
            'value': f'{value:.1%}' if name == 'data_wait' else f'{value:.3g}',
        }
        for name, value in values.items()
    ]
    return figures, min(rows, max((len(steps) for steps, _ in series.values()), default=0)) if figures else 0


def make_sections(series: MetricSeries, smoothing: float = 0.0) -> list[dict[str, Any]]:
    """Every logged metric in a panel: [{'title', 'text', 'groups': [{'title', 'small', 'panels'}]}].

    smoothing: model.rho_smoothing, which says what rho of the decoder's AdaLIN means.
    """
    remaining, sections = dict(series), []
    rho = {name: remaining.pop(name) for name in series if RHO.fullmatch(name)}
    for title, text, panels in SECTIONS:
        drawn = []
        for panel_title, panel_text, pattern in panels:
            metrics = {name: remaining.pop(name) for name in list(remaining) if re.fullmatch(pattern, name)}
            if pattern == r'eval.*':  # on different scales: a panel for each
                drawn += [panel(name, '', {name: metric}) for name, metric in metrics.items()]
            elif metrics:
                drawn.append(panel(panel_title, panel_text, metrics))
        sections.append(section(title, text, [{'title': '', 'small': False, 'panels': drawn}]))
    others = [panel(name, '', {name: metric}) for name, metric in remaining.items()]
    sections.insert(2, section('Others', '', [{'title': '', 'small': False, 'panels': others}]))
    sections.insert(
        2,
        section(
            'rho',
            rho_text(smoothing),
            rho_groups(rho),
        ),
    )
    return [part for part in sections if any(group['panels'] for group in part['groups'])]


def rho_text(smoothing: float) -> str:
    """What the curves of rho mean."""
    text = (
        'The parameter rho of each AdaLIN and LIN layer, the share of instance norm; the rest is layer norm: mean, minimum '
        'and maximum over its channels, with the last values.'
    )
    if smoothing:
        text += (
            f' AdaLIN (decoder_*) uses clip(rho - {smoothing:g}, 0, 1) as the share (model.rho_smoothing={smoothing:g}): '
            f'a curve at 1 is a share of {1 - smoothing:g}.'
        )
    return text


def section(title: str, text: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """One section of the page."""
    return {'title': title, 'text': text, 'groups': groups}


def panel(title: str, text: str, series: MetricSeries) -> dict[str, Any]:
    """One image of some metrics."""
    curves = {name: downsample(*metric) for name, metric in series.items()}
    svg = draw_curves(curves, f'{title} over the steps', linear='learning_rate' in title)
    return {'title': title, 'text': text, 'svg': svg}


def rho_groups(rho: MetricSeries) -> list[dict[str, Any]]:
    """A panel for each layer that has all of rho_min, rho_mean and rho_max, a group for each generator."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in rho:
        kind, generator, layer = RHO.fullmatch(name).groups()
        three = [rho.get(f'rho_{kind}/{generator}/{layer}') for kind in ('min', 'mean', 'max')]
        if kind != 'mean' or any(metric is None for metric in three):
            continue
        common = functools.reduce(np.intersect1d, (steps for steps, _ in three))  # a damaged line may lack one of them
        if not len(common):
            continue
        three = [(common, values[np.isin(steps, common)]) for steps, values in three]
        svg = draw_band(
            *(downsample(*metric) for metric in three),
            f'rho of {generator}/{layer} over the steps',
            BLUES[0] if generator.endswith('A2B') else ORANGES[0],
        )
        low, mean, high = (values[-1] for _, values in three)
        now = f'{mean:.3f} ({low:.3f} to {high:.3f})'
        groups.setdefault(generator, []).append({'title': layer, 'text': now, 'svg': svg})
    return [{'title': name, 'small': True, 'panels': panels} for name, panels in groups.items()]
