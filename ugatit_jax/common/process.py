"""Which process wrote a file, and whether it still runs: for a lease, and for what a killed process left."""

import functools
import hashlib
import os
import pathlib
import socket
from typing import NamedTuple

PROC = pathlib.Path('/proc')  # Linux; elsewhere a process is known by its id alone
DEAD = ('Z', 'X')  # states of a process that has ended and that its parent has not asked about


class Process(NamedTuple):
    """A process that no later one is taken for, though ids come back."""

    machine: str  # see `machine`
    pid: int
    started: str  # ticks from the start of the machine to that of the process; '' where the system does not say


@functools.cache
def machine() -> str:
    """16 hex digits that processes share whose ids mean the same: the host, since its last start, or one container."""
    parts = [socket.gethostname()]
    for read in (lambda: (PROC / 'sys/kernel/random/boot_id').read_text(), lambda: os.readlink(PROC / 'self/ns/pid')):
        try:
            parts.append(read().strip())
        except OSError:  # not Linux
            parts.append('')
    return hashlib.sha256('\n'.join(parts).encode('utf-8', 'backslashreplace')).hexdigest()[:16]


def this_process() -> Process:
    """The process that asks; not cached, as it may have been forked."""
    return Process(machine(), os.getpid(), start_of(os.getpid()) or '')


def start_of(pid: int) -> str | None:
    """When the running process of this id started; None where there is none, '' where the system does not say."""
    try:
        # after the name in parentheses, which may contain anything: field 3 is the state, field 22 the start
        fields = (PROC / str(pid) / 'stat').read_text(errors='replace').rpartition(')')[2].split()
        return None if fields[0] in DEAD else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if PROC.joinpath('self').exists():
            return None
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (OSError, OverflowError):  # of another user
        pass
    return ''


def is_running(process: Process) -> bool | None:
    """Whether a process still runs; None where it is of another machine, which cannot be asked."""
    if process.machine != machine():
        return None
    started = start_of(process.pid)
    return started is not None and (not started or not process.started or started == process.started)
