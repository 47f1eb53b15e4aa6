"""The status of a run on its page: how far it is, how it ended, and its events."""

import datetime
from typing import Any

from ugatit_jax.checkpoint.compatibility import differences
from ugatit_jax.report.history import duration
from ugatit_jax.report.panels import MetricSeries

RATE_ROWS = 10  # last logged rows whose mean images/s gives the time left: follows changes, without the noise of one row


def run_status(series: MetricSeries, events: list[dict[str, Any]], config: dict[str, Any], saved: int = 0) -> dict[str, Any]:
    """{'kind', 'short', 'detail', 'percent'}; kind: 'running', 'finished', 'stopped', or 'unknown' without events.

    saved: the step of a checkpoint without metrics or events, as of a converted one.
    """
    last = config.get('training', {}).get('steps')
    logged = max((int(steps[-1]) for steps, _ in series.values()), default=0)
    newest = events[-1] if events else {}
    step = max(logged, newest.get('step', 0), saved)
    progress = f'step {step:,} of {last:,}' if last else f'step {step:,}'
    kind, short, detail = 'running', f'running: {progress}', ''
    if newest.get('event') == 'stopped':
        kind, short, detail = 'stopped', f'stopped: {progress}', str(newest.get('reason', ''))
    elif newest.get('event') == 'finished' or (not events and last and step >= last):
        kind, short = 'finished', f'finished: {progress}'
    elif not events:
        kind, short, detail = 'unknown', progress, 'how it ended was not recorded'
    elif last and (seconds := seconds_left(series, last - step, config)) is not None:
        detail = f'{duration(seconds)} left when this was written'
    return {'kind': kind, 'short': short, 'detail': detail, 'percent': round(100 * min(step / last, 1), 1) if last else 0}


def seconds_left(series: MetricSeries, steps: int, config: dict[str, Any]) -> float | None:
    """The time that `steps` will take at the rate of the last logged rows; None where no rate was logged."""
    rates = series['images_per_second'][1][-RATE_ROWS:] if 'images_per_second' in series else []
    if not len(rates) or not sum(rates):
        return None
    return steps * config.get('data', {}).get('batch_size', 1) * len(rates) / sum(rates)


def event_rows(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of history.jsonl as rows of a table, with changes of the config: [{'when', 'step', 'what', 'details'}]."""
    return [event_row(event, events[:i]) for i, event in enumerate(events)]


def event_row(event: dict[str, Any], earlier: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of one event, given those before it."""
    details = [str(event[name]) for name in ('reason', 'detail') if name in event]
    if 'devices' in event:
        details.append(f'on {event["devices"]}')
    configs = [other['config'] for other in earlier if 'config' in other]
    if 'config' in event and configs:
        details += [f'{name} {old!r} -> {new!r}' for name, (old, new) in differences(configs[-1], event['config']).items()]
        if earlier[-1]['event'] not in ('stopped', 'finished'):
            details.append('the run before was killed')
    try:
        when = datetime.datetime.fromtimestamp(event['time']).astimezone().strftime('%Y-%m-%d %H:%M')
    except (KeyError, TypeError, ValueError, OverflowError, OSError):  # a damaged line
        when = ''
    return {'when': when, 'step': event['step'], 'what': event['event'], 'details': ', '.join(details)}
