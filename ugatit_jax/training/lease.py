"""One process at a time writes into a folder: a lease, FOLDER/lease.json, that names its holder and that it renews.

A holder of this machine is looked up among the running processes. One of another machine, of another container or behind a
bucket cannot be asked: it lives if the lease changes while we watch, by our own clock, as the clocks of two machines differ.
"""

import contextlib
import datetime
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

from etils import epath

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import absolute, atomic_write_text, bucket_errors, is_remote, read_bytes
from ugatit_jax.common.process import Process, is_running, this_process

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger(__name__)

NAME = 'lease.json'
RENEW_SECONDS = 15.0  # 240 small writes an hour, which cost nothing on a disk and a cent on a bucket
EXPIRY_SECONDS = 60.0  # three renewals may be late: a slow disk, a busy bucket
POLL_SECONDS = 1.0  # while it waits for a run that is probably dead: nobody notices less
SETTLE_SECONDS = 2.0  # a bucket has no locks: of two writers the later one wins, and both look again after this time
# time that goes on while a machine sleeps, and never back
CLOCK = getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC)


class Lease:
    """A context in which this process alone may write into `folder`; entering it raises UserError where another does."""

    def __init__(self, folder: str, doing: str = 'training'):
        """doing: what the lease is for, in the message to whom it is refused."""
        self.folder, self.path, self.doing = str(folder), absolute(str(folder)) / NAME, doing
        self.token, self.lost, self.ended = secrets.token_hex(8), '', threading.Event()
        self.since = datetime.datetime.now().astimezone().isoformat(' ', 'seconds')
        self.renewals, self.renewed, self.thread = 0, 0.0, None

    def __enter__(self) -> Self:
        self.acquire()
        self.thread = threading.Thread(target=self.keep, name=f'lease of {self.folder}', daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        self.thread.join()
        with contextlib.suppress(OSError), exclusive(self.path.parent), bucket_errors(self.path):
            if read(self.path) == self.content():
                self.path.unlink()

    def acquire(self) -> None:
        """Takes the lease; raises UserError where a living process holds it, after EXPIRY_SECONDS of watching at most."""
        watched, deadline = None, 0.0
        while True:
            with exclusive(self.path.parent):
                found = read(self.path)
                if found is None or self.holder_is_dead(found) or (found == watched and now() > deadline):
                    self.write()
                    break
            if watched is not None and found != watched:
                raise self.refusal(found)
            if watched is None:
                watched, deadline = found, now() + EXPIRY_SECONDS
                logger.warning(
                    '%s is held by %s: waiting up to %d s for a sign of life', self.path, describe(found), EXPIRY_SECONDS
                )
            time.sleep(POLL_SECONDS)
        if is_remote(self.folder):
            time.sleep(SETTLE_SECONDS)
            if (found := read(self.path)) != self.content():
                raise self.refusal(found)

    def holder_is_dead(self, found: dict[str, Any]) -> bool:
        """Whether the holder, if it is of this machine, has ended; raises UserError where it runs."""
        running = is_running(process_of(found))
        if running:
            raise self.refusal(found)
        return running is False

    def keep(self) -> None:
        """Renews the lease until the end; a thread of its own."""
        while not self.ended.wait(RENEW_SECONDS):
            self.renew()

    def renew(self) -> None:
        """Shows that this process lives, or finds out that another one has taken the lease."""
        try:
            with exclusive(self.path.parent):
                found = read(self.path)
                if found is not None and found.get('token') != self.token:
                    self.lost = describe(found)
                else:
                    self.write()
        except OSError as error:  # a full disk, a bucket that does not answer: the next turn may succeed
            logger.warning('%s could not be renewed (%s)', self.path, first_line(error))

    def validate(self) -> None:
        """Raises UserError where another process took the lease, as one does from a process that stood still for long."""
        if not self.lost and now() - self.renewed > EXPIRY_SECONDS / 2:  # stopped, or a machine that slept
            self.renew()
        if self.lost:
            raise UserError(f'{self.folder}: {self.lost} has taken over, as this process stood still; it ends here')

    def content(self) -> dict[str, Any]:
        """The lease as JSON."""
        return {
            'token': self.token,
            'host': socket.gethostname(),
            'since': self.since,
            'renewals': self.renewals,
        } | this_process()._asdict()

    def write(self) -> None:
        """Writes the lease, newer than before."""
        self.renewals += 1
        atomic_write_text(self.path, json.dumps(self.content()))
        self.renewed = now()

    def refusal(self, found: dict[str, Any] | None) -> UserError:
        """The error of who comes second."""
        return UserError(
            f'{self.folder}: {self.doing} by {describe(found or {})} goes on there; end that, or name another folder'
        )


def now() -> float:
    """Seconds of a clock that only goes forward."""
    return time.clock_gettime(CLOCK)


def read(path: epath.Path) -> dict[str, Any] | None:
    """The lease in a file; None where there is none, its bytes as text where it is damaged."""
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(data)
        process_of(found)
        return found
    except (ValueError, KeyError, TypeError, RecursionError):
        return {'damaged': data.hex()}


def process_of(found: dict[str, Any]) -> Process:
    """The holder of a lease; of no machine where it is damaged."""
    if 'damaged' in found:
        return Process('', 0, '')
    return Process(str(found['machine']), int(found['pid']), str(found['started']))


def describe(found: dict[str, Any]) -> str:
    """'process 17 on HOST since 2026-01-31 12:00:00+00:00'."""
    return f'process {found.get("pid", "unknown")} on {found.get("host", "an unknown host")} since {found.get("since", "?")}'


@contextlib.contextmanager
def exclusive(folder: epath.Path) -> Iterator[None]:
    """Holds back others who look at a lease in this folder meanwhile; on a bucket, which has no locks, nobody."""
    if is_remote(folder) or fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a network file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
