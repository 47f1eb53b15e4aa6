"""WORKDIR/history.jsonl: the events of a run.

A line for each start ('started' or 'resumed', with config, command and versions), each rollback after NaN ('went back') and
each end ('finished' or 'stopped', with the reason). A run that was killed has a start without an end.
"""

import importlib.metadata
import json
import logging
import platform
import shlex
import sys
import time
from typing import Any

from etils import epath

from ugatit_jax.common.files import atomic_write_text, bucket_errors, is_remote, read_bytes, write_bytes

logger = logging.getLogger(__name__)

MAX_STEP = 2**31  # a train state counts in int32
PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'ugatit_jax')


def append(workdir: str, step: int, event: str, **fields: Any) -> None:
    """Appends a line: the event, its step, the time (seconds since 1970), and other fields."""
    row = {'step': step, 'time': round(time.time(), 3), 'event': event} | fields
    path = epath.Path(workdir) / 'history.jsonl'
    before = read_if_there(path)
    line = json.dumps(row) + '\n'
    if before and not before.endswith(b'\n'):  # cut off by a kill or a full disk: start a new line
        line = '\n' + line
    if is_remote(path):  # a bucket has no append; the file is short
        write_bytes(path, before + line.encode())
        return
    with path.open('a') as file:
        file.write(line)


def read_if_there(path: epath.Path) -> bytes:
    """The content of a file, b'' where there is none; raises OSError."""
    with bucket_errors(path):
        return read_bytes(path) if path.exists() else b''


def read(workdir: str) -> list[dict[str, Any]]:
    """All events in order, without damaged lines; [] where there is no file."""
    return [row for row in read_rows(epath.Path(workdir) / 'history.jsonl')[0] if is_event(row)]


def is_event(row: dict[str, Any]) -> bool:
    """Whether a row of history.jsonl has what readers of events rely on."""
    config = row.get('config', {})
    groups = (config.get(name, {}) for name in ('data', 'model', 'training')) if isinstance(config, dict) else [None]
    return isinstance(row.get('event'), str) and all(isinstance(group, dict) for group in groups)


def drop_damaged(workdir: str) -> None:
    """Rewrites history.jsonl without its damaged lines, with a log line that counts them."""
    path = epath.Path(workdir) / 'history.jsonl'
    rows, damaged = read_lines(path)
    kept = [line for line, row in rows if is_event(row)]
    if damaged := damaged + len(rows) - len(kept):
        logger.warning('%s: dropped %d damaged lines', path, damaged)
        atomic_write_text(path, ''.join(f'{line}\n' for line in kept))


def read_rows(path: epath.Path) -> tuple[list[dict[str, Any]], int]:
    """Rows of a JSON Lines file that have a step, and the number of damaged lines; ([], 0) where there is no file."""
    rows, damaged = read_lines(path)
    return [row for _, row in rows], damaged


def read_lines(path: epath.Path) -> tuple[list[tuple[str, dict[str, Any]]], int]:
    """As `read_rows`, with each row's own line before it."""
    rows, damaged = [], 0
    for line in read_if_there(path).split(b'\n'):  # not splitlines, which splits at other characters, too
        if not line.strip():
            continue
        try:
            text = line.decode()
            row = json.loads(text)
            row['step'] = int(row['step'])
            if abs(row['step']) > MAX_STEP:
                raise ValueError(f'no step: {row["step"]}')
            rows.append((text, row))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            damaged += 1
    return rows, damaged


def environment() -> dict[str, Any]:
    """The command, package versions and devices of this process, for the event of its start."""
    import jax  # here: the page of a run is written without it

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
