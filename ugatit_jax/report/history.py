"""WORKDIR/history.jsonl: the events of a run.

A line for each start ('started' or 'resumed', with config, command and versions), each rollback after NaN ('went back') and
each end ('finished' or 'stopped', with the reason). A run that was killed has a start without an end.
"""

import importlib.metadata
import json
import platform
import shlex
import sys
import time
from typing import Any

import jax
from etils import epath

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'ugatit_jax')


def append(workdir: str, step: int, event: str, **fields: Any) -> None:
    """Appends a line: the event, its step, the time (seconds since 1970), and other fields."""
    row = {'step': step, 'time': round(time.time(), 3), 'event': event} | fields
    path = epath.Path(workdir) / 'history.jsonl'
    before = path.read_bytes() if path.exists() else b''
    with path.open('a') as file:
        if before and not before.endswith(b'\n'):  # cut off by a kill or a full disk: start a new line
            file.write('\n')
        file.write(json.dumps(row) + '\n')


def read(workdir: str) -> list[dict[str, Any]]:
    """All events in order, without damaged lines; [] where there is no file."""
    return [row for row in read_rows(epath.Path(workdir) / 'history.jsonl')[0] if 'event' in row]


def read_rows(path: epath.Path) -> tuple[list[dict[str, Any]], int]:
    """Rows of a JSON Lines file that have a step, and the number of damaged lines; ([], 0) where there is no file."""
    rows, damaged = [], 0
    if not path.exists():
        return rows, damaged
    for line in path.read_bytes().decode(errors='replace').splitlines():
        try:
            row = json.loads(line)
            row['step'] = int(row['step'])
            rows.append(row)
        except (ValueError, KeyError, TypeError, OverflowError):
            damaged += 1
    return rows, damaged


def environment() -> dict[str, Any]:
    """The command, package versions and devices of this process, for the event of its start."""
    module = getattr(getattr(sys.modules.get('__main__'), '__spec__', None), 'name', None)
    start = ['python', '-m', module] if module else ['python', sys.argv[0]]
    versions = {'python': platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # a checkout that was not installed
            continue
    return {
        'command': shlex.join([*start, *sys.argv[1:]]),
        'versions': versions,
        'devices': f'{jax.device_count()} x {jax.devices()[0].device_kind}',
        'processes': jax.process_count(),
    }


def duration(seconds: float) -> str:
    """'1d 02:03:04', or '02:03:04' below a day."""
    days, rest = divmod(int(seconds), 86_400)
    clock = f'{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}'
    return f'{days}d {clock}' if days else clock
