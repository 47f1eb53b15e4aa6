"""WORKDIR/report.html, the page of a run: status, previews over time, curves, commands, events and settings.

Made from metrics.jsonl, previews/, history.jsonl and checkpoints/ alone, so that it can be written again at any time.
"""

import datetime

from etils import epath

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import absolute, atomic_write_text
from ugatit_jax.report import history
from ugatit_jax.report.curves import MAX_POINTS
from ugatit_jax.report.html import render
from ugatit_jax.report.panels import key_figures, make_sections, metric_series
from ugatit_jax.report.run_commands import run_commands
from ugatit_jax.report.run_previews import embed_previews, preview_files, select_evenly
from ugatit_jax.report.run_settings import recorded_config, settings_table
from ugatit_jax.report.run_status import event_rows, run_status

MIN_SHEET_WIDTH = 620  # CSS pixels that previews are shown at, at least: sheets of tiny images are enlarged


def write_run_page(workdir: str) -> epath.Path:
    """Writes WORKDIR/report.html atomically and returns its path; raises UserError where there is no run."""
    name, folder = absolute(workdir).name, epath.Path(workdir)
    rows, damaged = history.read_rows(folder / 'metrics.jsonl')
    events = history.read(workdir)
    files = preview_files(folder)
    config, saved = recorded_config(workdir, events)
    if not (rows or events or files or config):
        raise UserError(
            f'{workdir} has no metrics.jsonl, previews, history.jsonl or checkpoints: it is not the workdir of a run'
        )
    series, not_finite = metric_series(rows)
    previews, unreadable = embed_previews(select_evenly(files))
    figures, figure_rows = key_figures(series)
    start = next((event for event in reversed(events) if 'command' in event), {})
    settings = settings_table(config)
    page = render(
        'run.html',
        name=name,
        workdir=str(workdir),
        status=run_status(series, events, config, saved),
        written=datetime.datetime.now().astimezone().isoformat(' ', 'seconds'),
        figures=figures,
        figure_rows=figure_rows,
        notes=left_out_notes(damaged, not_finite, unreadable),
        previews=previews,
        previews_left_out=len(files) - unreadable - len(previews),
        sheet_width=max([MIN_SHEET_WIDTH, *(preview['width'] for preview in previews)]),
        sections=make_sections(series, config.get('model', {}).get('rho_smoothing') or 0.0),
        downsampled=downsampling_note(max((len(steps) for steps, _ in series.values()), default=0)),
        commands=run_commands(str(workdir), str(start.get('command', '')), config),
        events=event_rows(events),
        versions=start.get('versions', {}) | ({'devices': start['devices']} if 'devices' in start else {}),
        settings=settings,
        changed=sum(row['changed'] for group in settings for row in group['rows']),
    )
    return atomic_write_text(folder / 'report.html', page)


def left_out_notes(damaged: int, not_finite: int, unreadable: int) -> list[str]:
    """What of the workdir is not on the page."""
    counts = {
        f'{damaged} damaged lines of metrics.jsonl were left out.': damaged,
        f'{not_finite} values that are not finite numbers were left out.': not_finite,
        f'{unreadable} previews could not be read and were left out.': unreadable,
    }
    return [note for note, count in counts.items() if count]


def downsampling_note(longest: int) -> str:
    """How the curves were made of `longest` logged steps; '' where every step is a point."""
    if longest <= MAX_POINTS:
        return ''
    return (
        f'{longest:,} logged steps are reduced to {MAX_POINTS} points: the pale band goes from the smallest to the largest '
        'value of each, the line is their moving average.'
    )
