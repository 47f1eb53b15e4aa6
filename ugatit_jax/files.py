"""Atomic writes: a file has its name when it is complete, and not before. And the folder for caches."""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Iterator

from etils import epath


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[str]:
    """The name of an empty file beside `path` to write into; it becomes `path`, or is removed when something is raised.

    Makes missing folders. What was at `path` before is replaced then, as a name: a link's target is left alone.
    """
    folder = os.path.dirname(path) or '.'
    os.makedirs(folder, exist_ok=True)
    partial = os.path.join(folder, f'.{secrets.token_hex(8)}.partial')
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
    beside = path.parent / f'.{path.name}.{os.getpid()}.tmp'
    try:
        beside.write_text(text, encoding='utf-8')
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


def cache_folder() -> pathlib.Path:
    """The user's folder for what can be made or downloaded again: XDG_CACHE_HOME/ugatit_jax or ~/.cache/ugatit_jax."""
    return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ugatit_jax'
