"""Atomic writes: a file has its name when it is complete, and not before. And places: of files, of URLs, of caches."""

import contextlib
import os
import pathlib
import re
import secrets
from collections.abc import Iterator

from etils import epath

from ugatit_jax.errors import UserError, printable
from ugatit_jax.process import Process, is_running, this_process

# of a file that is being written: the machine and process that write it, so that what a killed one left can be removed
PARTIAL = re.compile(r'\.([0-9a-f]{16})-(\d{1,10})-(\d*)-[0-9a-f]{8}\.partial')


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[str]:
    """The name of an empty file beside `path` to write into; it becomes `path`, or is removed when something is raised.

    Makes missing folders. What was at `path` before is replaced then, as a name: a link's target is left alone.
    """
    folder = os.path.dirname(path) or '.'
    os.makedirs(folder, exist_ok=True)
    partial = os.path.join(folder, partial_name())
    # not tempfile: its files are for their owner alone, and a process's umask cannot be read without setting it
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
        raise


def atomic_write_text(path: epath.Path, text: str) -> epath.Path:
    """Writes a text beside `path`, of any file system, and renames it: whoever reads sees the old one or the new one."""
    beside = path.parent / partial_name()
    try:
        beside.write_text(text, encoding='utf-8')
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


def partial_name() -> str:
    """A name, hidden and new, for a file that this process is writing."""
    return f'.{"-".join(map(str, this_process()))}-{secrets.token_hex(4)}.partial'


def remove_abandoned(folder: str) -> int:
    """Removes what processes of this machine that were killed left in a folder half written; returns how many files."""
    count = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = PARTIAL.fullmatch(name)
            if match and is_running(Process(match[1], int(match[2]), match[3])) is False:
                with contextlib.suppress(OSError):
                    os.remove(os.path.join(folder, name))
                    count += 1
    return count


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is a URL such as gs://BUCKET/FOLDER."""
    return '://' in str(path)


def absolute(path: str) -> epath.Path:
    """The path from the root, links resolved, or the URL as it is; raises UserError where it is not valid Unicode."""
    if printable(path) != path:  # TensorStore and JSON take no other
        raise UserError(f'{path}: a path with bytes that are not UTF-8; rename it')
    return epath.Path(path) if is_remote(path) else epath.Path(path).resolve()


def cache_folder() -> pathlib.Path:
    """The user's folder for what can be made or downloaded again: XDG_CACHE_HOME/ugatit_jax or ~/.cache/ugatit_jax."""
    return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ugatit_jax'
