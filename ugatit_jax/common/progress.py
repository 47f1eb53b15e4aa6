"""What a person sees of long work: a line before it with what it took last time on this machine, and how far it is."""

import contextlib
import hashlib
import json
import logging
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self, TypeVar

import tqdm
from etils import epath

from ugatit_jax.common.errors import first_line, printable
from ugatit_jax.common.files import atomic_write_text, cache_folder

logger = logging.getLogger(__name__)

FILE = 'seconds.json'  # in the user's cache folder: {key: seconds}, the newest last
MAX_TIMES = 500  # kept: about 20 KB
LINE_SECONDS = 10  # without a terminal: the first line, and those of the first minute
LATER_LINE_SECONDS = 60  # lines after that

Item = TypeVar('Item')


@contextlib.contextmanager
def announced(what: str, *key: object, usually: str = '') -> Iterator[None]:
    """Around long work: a line before it with what it took last time on this machine, and a line with what it took.

    key: what the time depends on besides `what`; equal ones share a time. usually: said where there is no last time. The
    time of work that raises is not kept. Silent where INFO is not logged, as in a program that uses the package.
    """
    if not logger.isEnabledFor(logging.INFO):
        yield
        return
    name, times = key_of(what, key), read_times()
    if name in times:
        logger.info('%s: %s last time on this machine', what, spoken(times[name]))
    else:
        logger.info('%s, for the first time on this machine%s', what, f': {usually}' if usually else '')
    started = time.monotonic()
    yield
    seconds = time.monotonic() - started
    logger.info('%s took %s', what, spoken(seconds))
    keep_time(name, seconds)


def key_of(what: str, key: tuple[object, ...]) -> str:
    """The name of a time in the file: the home folder of several machines may be one."""
    return hashlib.sha256(repr((socket.gethostname(), what, key)).encode('utf-8', 'backslashreplace')).hexdigest()[:20]


def read_times() -> dict[str, float]:
    """What earlier work took, in seconds; {} where there is no file that can be read."""
    try:
        times = json.loads((cache_folder() / FILE).read_text())
        return {str(name): float(seconds) for name, seconds in times.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def keep_time(name: str, seconds: float) -> None:
    """Keeps a time, the newest at the end; a cache folder that cannot be written keeps none."""
    times = {other: value for other, value in read_times().items() if other != name} | {name: round(seconds, 2)}
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        atomic_write_text(epath.Path(cache_folder() / FILE), json.dumps(dict(list(times.items())[-MAX_TIMES:])))
    except OSError as error:
        logger.debug('%s was not written: %s', FILE, first_line(error))


def spoken(seconds: float) -> str:
    """A time as a person says it: '4.2 s', '38 s', '12 min', '3 h 5 min', '2 d 4 h'."""
    if seconds < 10:
        return f'{seconds:.1f} s'
    if seconds < 120:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    if minutes < 120:
        return f'{minutes} min'
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours < 48 else f'{hours // 24} d {hours % 24} h'


class Progress:
    """How far work of `total` units is: a bar on a terminal, elsewhere a line now and then, with the time left.

    total: None where it is not known. Silent where INFO is not logged. A context manager.
    """

    def __init__(self, what: str, total: int | None, unit: str = 'images'):
        self.what, self.total, self.unit, self.done = printable(what), total, unit, 0
        self.started = self.last_line = time.monotonic()
        self.bar, self.active = None, logger.isEnabledFor(logging.INFO) and total != 0
        if self.active and sys.stderr.isatty():
            self.bar = tqdm.tqdm(total=total, unit=unit, desc=self.what, leave=False, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.close()

    def say(self, line: str) -> None:
        """A line about one of the units."""
        if self.bar is not None:
            tqdm.tqdm.write(printable(line), file=sys.stderr)  # above the bar
        elif self.active:
            logger.info('%s', printable(line))

    def update(self, count: int = 1) -> None:
        """Counts units that are done."""
        self.done += count
        if self.bar is not None:
            self.bar.update(count)
        elif self.active and self.done != self.total:
            now = time.monotonic()
            elapsed = now - self.started
            if now - self.last_line >= (LINE_SECONDS if elapsed < LATER_LINE_SECONDS else LATER_LINE_SECONDS):
                self.last_line = now
                if self.total is None:
                    logger.info('%s: %d %s', self.what, self.done, self.unit)
                    return
                left = spoken(elapsed / self.done * (self.total - self.done))
                logger.info('%s: %d of %d %s, %s left', self.what, self.done, self.total, self.unit, left)


def track(items: Iterable[Item], what: str, total: int, unit: str = 'images') -> Iterator[Item]:
    """The items, with a Progress of how many have been taken."""
    with Progress(what, total, unit) as progress:
        for item in items:
            yield item
            progress.update()
