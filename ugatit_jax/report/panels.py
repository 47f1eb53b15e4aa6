"""Which metrics of a run are shown together, in what order, and what they mean."""

import functools
import re
from typing import Any

import numpy as np

from ugatit_jax.report.curves import BLUES, ORANGES, draw_band, draw_lines, thin

Columns = dict[str, tuple[np.ndarray, np.ndarray]]  # a metric's steps and values, float64 [n], in order

SECTIONS = (  # title, text, panels: title, what it means, pattern of the metrics in it
    (
        'Losses',
        'Pale: as logged; strong: moving average. Terms are before their weights.',
        (
            ('Discriminators', 'weighted sum for each domain', r'D_[AB]'),
            ('Generators', 'weighted sum for each domain', r'G_[AB]'),
            ('D_ad', 'lsgan: 0.5 is a draw, 0 a discriminator that is always right', r'D_ad_[GL][AB]'),
            ('D_cam', 'the same on the attention logits', r'D_cam_[GL][AB]'),
            ('D_gp', 'gradient penalties on patch logits; 0: every gradient has norm 1', r'D_gp_[GL][AB]'),
            ('D_gpcam', 'the same on the attention logits', r'D_gpcam_[GL][AB]'),
            ('G_ad', 'lsgan: 0.25 is a draw; 1: the fakes are seen through', r'G_ad_[GL][AB]'),
            ('G_adcam', 'the same on the attention logits', r'G_adcam_[GL][AB]'),
            ('G_recon', 'there and back: mean distance, images in [-1, 1]', r'G_recon_[AB]'),
            ('G_id', 'an image of the target domain stays: mean distance', r'G_id_[AB]'),
            ('G_cam', 'the attention tells the domains apart; 1.39 is guessing', r'G_cam_[AB]'),
            ('Totals', 'what the optimisers see', r'[DG]'),
        ),
    ),
    ('Evaluation', '', (('eval', '', r'eval.*'),)),
    (
        'Optimisation',
        '',
        (
            ('learning_rate', '', r'learning_rate(_D)?'),
            ('Gradient norms of the generators', '', r'grad_norm_gen.*'),
            ('Gradient norms of the discriminators', '', r'grad_norm_dis.*'),
        ),
    ),
    (
        'Speed',
        '',
        (
            ('images_per_second', '', r'images_per_second'),
            ('data_wait', 'share of the time that the step waited for data', r'data_wait'),
            ('Device memory', 'bytes of the fullest device', r'(peak_)?bytes_in_use'),
        ),
    ),
)
RHO = re.compile(r'rho_(min|mean|max)/(\w+)/(\w+)')
TILES = ('D_A', 'D_B', 'G_A', 'G_B', 'G_recon_A', 'G_recon_B', 'images_per_second', 'data_wait')


def columns_of(rows: list[dict[str, Any]]) -> tuple[Columns, int]:
    """Metrics by name from rows in any order, the last of a step counts; and how many values were not finite numbers."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    left_out = 0
    for _, row in sorted({row['step']: row for row in rows}.items()):
        step = row['step']
        for name, value in row.items():
            if name == 'step':
                continue
            if not isinstance(value, (int, float)) or not abs(value) < 1e300:
                left_out += 1
                continue
            steps, values = found.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
    return {name: (np.array(steps, float), np.array(values, float)) for name, (steps, values) in found.items()}, left_out


def key_figures(columns: Columns, rows: int = 10) -> tuple[list[dict[str, str]], int]:
    """Means of the last rows of what tells most: [{'name', 'value'}], and of how many rows."""
    shown = [name for name in TILES if name in columns]
    values = {name: columns[name][1][-rows:].mean() for name in shown}
    return [
        {
            'name': 'images/s' if name == 'images_per_second' else name,
            'value': f'{value:.1%}' if name == 'data_wait' else f'{value:.3g}',
        }
        for name, value in values.items()
    ], min(rows, max((len(columns[name][0]) for name in shown), default=0))


def make_sections(columns: Columns) -> list[dict[str, Any]]:
    """Everything that was logged, drawn: [{'title', 'text', 'groups': [{'title', 'small', 'panels'}]}]."""
    left, sections = dict(columns), []
    rho = {name: left.pop(name) for name in columns if RHO.fullmatch(name)}
    for title, text, panels in SECTIONS:
        drawn = []
        for panel_title, panel_text, pattern in panels:
            lines = {name: left.pop(name) for name in list(left) if re.fullmatch(pattern, name)}
            if pattern == r'eval.*':  # unlike each other: an image for each
                drawn += [panel(name, '', {name: column}) for name, column in lines.items()]
            elif lines:
                drawn.append(panel(panel_title, panel_text, lines))
        sections.append(section(title, text, [{'title': '', 'small': False, 'panels': drawn}]))
    others = [panel(name, '', {name: column}) for name, column in left.items()]
    sections.insert(2, section('Others', '', [{'title': '', 'small': False, 'panels': others}]))
    sections.insert(
        2,
        section(
            'rho',
            'Share of instance norm in each AdaLIN and LIN layer, the rest is layer norm: mean, smallest and largest '
            'of its channels; the numbers are the last ones.',
            rho_groups(rho),
        ),
    )
    return [part for part in sections if any(group['panels'] for group in part['groups'])]


def section(title: str, text: str, groups: list[dict[str, Any]]) -> dict[str, Any]:
    """A part of the page."""
    return {'title': title, 'text': text, 'groups': groups}


def panel(title: str, text: str, lines: Columns) -> dict[str, Any]:
    """One image of some metrics."""
    thinned = {name: thin(*column) for name, column in lines.items()}
    svg = draw_lines(thinned, f'{title} over the steps', linear=title == 'learning_rate')
    return {'title': title, 'text': text, 'svg': svg}


def rho_groups(rho: Columns) -> list[dict[str, Any]]:
    """An image for each layer with all of its three metrics, a group for each generator."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name in rho:
        kind, generator, layer = RHO.fullmatch(name).groups()
        three = [rho.get(f'rho_{kind}/{generator}/{layer}') for kind in ('min', 'mean', 'max')]
        if kind != 'mean' or any(column is None for column in three):
            continue
        common = functools.reduce(np.intersect1d, (steps for steps, _ in three))  # a damaged line may lack one of them
        if not len(common):
            continue
        three = [(common, values[np.isin(steps, common)]) for steps, values in three]
        svg = draw_band(
            *(thin(*column) for column in three),
            f'rho of {generator}/{layer} over the steps',
            BLUES[0] if generator.endswith('A2B') else ORANGES[0],
        )
        low, mean, high = (values[-1] for _, values in three)
        now = f'{mean:.3f} ({low:.3f} to {high:.3f})'
        groups.setdefault(generator, []).append({'title': layer, 'text': now, 'svg': svg})
    return [{'title': name, 'small': True, 'panels': panels} for name, panels in groups.items()]
