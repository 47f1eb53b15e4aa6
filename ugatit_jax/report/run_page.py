"""WORKDIR/report.html, what a person sees of a run: curves, previews over time, settings, commands; self-contained.

    python -m ugatit_jax.run_page WORKDIR

makes it again from what is in the workdir: metrics.jsonl, previews/ and history.jsonl. Training does so, too, while it goes.
"""

import datetime
import functools
import io
import json
import logging
import shlex
import threading
import time
from typing import Any

from etils import epath
from PIL import Image

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json, differences
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.errors import UserError, named_line
from ugatit_jax.files import atomic_write_text
from ugatit_jax.report import history
from ugatit_jax.report.curves import POINTS
from ugatit_jax.report.history import duration
from ugatit_jax.report.page import data_uri, render
from ugatit_jax.report.panels import Columns, columns_of, key_figures, make_sections

logger = logging.getLogger(__name__)

PREVIEWS = 40  # embedded at most
PREVIEW_SIDE, PREVIEW_QUALITY = 1280, 80  # JPEG: some 150 KB for a sheet of images of 256 pixels
WRITING_SHARE = 0.05  # of the time of a run that making the page may take, beside the training


class PageWriter:
    """Makes the page again while a run goes, in a thread of its own; a run is not stopped by a page that fails."""

    def __init__(self, workdir: str):
        self.workdir, self.thread, self.next_time = workdir, None, 0.0

    def refresh(self) -> None:
        """Starts to write the page, unless it is being written or was shortly before."""
        if (self.thread is None or not self.thread.is_alive()) and time.monotonic() >= self.next_time:
            self.thread = threading.Thread(target=self.write, name='report.html')
            self.thread.start()

    def close(self) -> None:
        """Writes the page a last time."""
        if self.thread is not None:
            self.thread.join()
        self.write()

    def write(self) -> None:
        """Writes the page, or says why not."""
        started = time.monotonic()
        try:
            write(self.workdir)
        except Exception as error:  # whatever it is, days of training go on
            logger.warning('report.html could not be written (%s); the training goes on', named_line(error))
        took = time.monotonic() - started
        self.next_time = started + took / WRITING_SHARE


def write(workdir: str) -> epath.Path:
    """Writes WORKDIR/report.html, whole or not at all, and returns its path; raises UserError where there is no run."""
    folder = epath.Path(workdir)
    rows, damaged = history.read_rows(folder / 'metrics.jsonl')
    events = history.read(workdir)
    sheets = preview_files(folder)
    config = config_of(workdir, events)
    if not (rows or events or sheets or config):
        raise UserError(f'{workdir} has no metrics.jsonl, previews, history.jsonl or checkpoints: it is no workdir of a run')
    columns, not_finite = columns_of(rows)
    previews, unreadable = embed(spread(sheets))
    notes = [
        text
        for count, text in (
            (damaged, f'{damaged} damaged lines of metrics.jsonl were left out.'),
            (not_finite, f'{not_finite} values that are no finite numbers were left out.'),
            (unreadable, f'{unreadable} previews could not be read and were left out.'),
        )
        if count
    ]
    longest = max((len(steps) for steps, _ in columns.values()), default=0)
    tiles, tile_rows = key_figures(columns)
    start = next((event for event in reversed(events) if 'command' in event), {})
    marked = mark(config)
    page = render(
        'run.html',
        name=folder.resolve().name,
        workdir=str(workdir),
        state=state_of(columns, events, config),
        written=datetime.datetime.now().astimezone().isoformat(' ', 'seconds'),
        tiles=tiles,
        tile_rows=tile_rows,
        notes=notes,
        previews=previews,
        previews_left_out=len(sheets) - unreadable - len(previews),
        sheet_width=max([620, *(preview['width'] for preview in previews)]),
        sections=make_sections(columns),
        thinned=f'{longest:,} logged steps are put together to {POINTS} points: the pale band goes from the smallest to the '
        'largest of each, the line is their moving average.'
        if longest > POINTS
        else '',
        commands=commands(str(workdir), start, config),
        events=[describe(events, i) for i in range(len(events))],
        versions=start.get('versions', {}) | ({'devices': start['devices']} if 'devices' in start else {}),
        config=marked,
        changed=sum(row['changed'] for group in marked for row in group['rows']),
    )
    return atomic_write_text(folder / 'report.html', page)


def config_of(workdir: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    """The config of the last start, or of the newest checkpoint where no start was recorded, or {}."""
    for event in reversed(events):
        if isinstance(event.get('config'), dict):
            return event['config']
    if not (epath.Path(workdir) / 'checkpoints').exists():
        return {}
    checkpoints = Checkpoints(workdir)
    try:
        latest = checkpoints.latest()
        return {} if latest is None else checkpoints.read_config(latest)
    except UserError as error:
        logger.warning('the page has no settings: %s', error)
        return {}
    finally:
        checkpoints.close()


def state_of(columns: Columns, events: list[dict[str, Any]], config: dict[str, Any]) -> dict[str, Any]:
    """How far the run is and how it goes on: {'kind', 'short', 'detail', 'percent'}."""
    last = config.get('training', {}).get('steps')
    logged = max((int(steps[-1]) for steps, _ in columns.values()), default=0)
    end = events[-1] if events else {}
    step = max(logged, end.get('step', 0))
    short = f'step {step:,} of {last:,}' if last else f'step {step:,}'
    kind, detail = 'running', ''
    if end.get('event') == 'stopped':
        kind, short, detail = 'stopped', f'stopped: {short}', str(end.get('reason', ''))
    elif end.get('event') == 'finished' or (not events and last and step >= last):
        kind, short = 'finished', f'finished: {short}'
    elif events:
        rates = columns['images_per_second'][1][-10:] if 'images_per_second' in columns else []
        short = f'running: {short}'
        if len(rates) and last and sum(rates):
            batch = config.get('data', {}).get('batch_size', 1)
            detail = f'{duration((last - step) * batch * len(rates) / sum(rates))} left when this was written'
    else:
        kind, detail = 'unknown', 'how it ended was not recorded'
    return {'kind': kind, 'short': short, 'detail': detail, 'percent': round(100 * min(step / last, 1), 1) if last else 0}


def preview_files(folder: epath.Path) -> list[tuple[int, epath.Path]]:
    """Steps and files of previews/, in order."""
    if not (folder / 'previews').exists():
        return []
    return sorted(
        (int(path.stem), path) for path in (folder / 'previews').iterdir() if path.suffix == '.png' and path.stem.isdecimal()
    )


def spread(sheets: list[Any], most: int = PREVIEWS) -> list[Any]:
    """All, every second, every fourth ... and the last, at most `most`: a choice that changes little as a run goes on."""
    stride = 1
    while -(-len(sheets) // stride) > most - 1:
        stride *= 2
    return sheets if len(sheets) <= most else sheets[::stride] + ([sheets[-1]] if (len(sheets) - 1) % stride else [])


def embed(sheets: list[tuple[int, epath.Path]]) -> tuple[list[dict[str, Any]], int]:
    """[{'step', 'uri', 'width'}] of the previews that can be read, and how many cannot."""
    result = []
    for step, path in sheets:
        try:
            uri, width = as_jpeg(str(path), path.stat().length)
            result.append({'step': step, 'uri': uri, 'width': width})
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for damaged files
            continue
    return result, len(sheets) - len(result)


@functools.lru_cache(maxsize=2 * PREVIEWS)
def as_jpeg(path: str, length: int) -> tuple[str, int]:
    """A preview as data URI of at most PREVIEW_SIDE pixels a side, and its width; kept, as files do not change."""
    with Image.open(io.BytesIO(epath.Path(path).read_bytes())) as image:
        image.load()
        image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Image.Resampling.LANCZOS)
        return data_uri(image, PREVIEW_QUALITY), image.width


def commands(workdir: str, start: dict[str, Any], config: dict[str, Any]) -> list[dict[str, str]]:
    """What to type to go on, to translate, to evaluate."""
    again = str(start.get('command', ''))
    if not config and not again:
        again = f'python -m ugatit_jax.main --config=CONFIG --workdir={shlex.quote(workdir)}'
    elif not again.startswith('python -m ugatit_jax.main '):  # started from Python, or not recorded
        flags = [
            f'--config.{name}={value}'
            for name, (_, value) in differences(
                default_fields(config), {k: v for k, v in config.items() if k != 'converted'}
            ).items()
            if value is not None
        ]
        again = shlex.join(
            ['python', '-m', 'ugatit_jax.main', '--config=configs/default.py', f'--workdir={workdir}', *flags]
        )
    at = shlex.quote(workdir)
    return [
        {'title': 'Continue', 'text': again},
        {
            'title': 'Translate images',
            'text': f'python -m ugatit_jax.translate --checkpoint={at} --input=IMAGES --output=FOLDER --direction=a2b',
        },
        {'title': 'Evaluate', 'text': f'{again} --mode=eval'},
        {'title': 'Make this page again', 'text': f'python -m ugatit_jax.run_page {at}'},
    ]


def describe(events: list[dict[str, Any]], i: int) -> dict[str, Any]:
    """An event as a row of the table; a start with what was changed since the one before."""
    event = events[i]
    details = [str(event[name]) for name in ('reason', 'detail') if name in event]
    if 'devices' in event:
        details.append(f'on {event["devices"]}')
    earlier = [other for other in events[:i] if 'config' in other]
    if 'config' in event and earlier:
        details += [
            f'{name} {old!r} -> {new!r}' for name, (old, new) in differences(earlier[-1]['config'], event['config']).items()
        ]
        if events[i - 1]['event'] not in ('stopped', 'finished'):
            details.append('the run before was killed')
    try:
        when = datetime.datetime.fromtimestamp(event['time']).astimezone().strftime('%Y-%m-%d %H:%M')
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        when = ''
    return {'when': when, 'step': event['step'], 'what': event['event'], 'details': ', '.join(details)}


def default_fields(config: dict[str, Any]) -> dict[str, Any]:
    """The defaults as a run of the same model.reference has them, which fills in fields, as nested dicts."""
    plain = default.get_config()
    if (reference := config.get('model', {}).get('reference')) is not None:
        plain.model.reference = reference
    resolved = as_json(resolve(plain))
    resolved['model']['reference'] = default.get_config().model.reference
    return resolved


def mark(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The config as tables, one for each group, with the fields that are not the default's marked."""
    if not config:
        return []
    plain = default_fields(config)
    changed = differences(plain, config) if plain else {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, value in config.items():
        fields = value.items() if isinstance(value, dict) else [(name, value)]
        for field, got in fields:
            key = f'{name}.{field}' if isinstance(value, dict) else name
            groups.setdefault(name if isinstance(value, dict) else 'run', []).append(
                {
                    'name': field,
                    'value': got if got and isinstance(got, str) else json.dumps(got),
                    'changed': key in changed,
                    'default': json.dumps(changed[key][0]) if key in changed else '',
                }
            )
    return [{'name': name, 'rows': rows, 'rows_count': len(rows)} for name, rows in groups.items()]
