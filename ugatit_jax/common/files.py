"""Atomic writes: a file has its name when it is complete, and not before. And places: of files, of buckets, of caches.

A bucket (gs://BUCKET/FOLDER) has no folders, no append and no rename: objects are written whole, and atomically. Its library
raises errors of many kinds: what is here raises OSError for all of them.
"""

import contextlib
import importlib.util
import os
import pathlib
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator

from etils import epath

from ugatit_jax.common.errors import UserError, first_line, named_line, printable
from ugatit_jax.common.process import Process, is_running, this_process

BUCKET_PACKAGES = {'gcsfs': 'gcsfs', 'google.cloud.storage': 'google-cloud-storage'}  # etils needs one, Orbax the other
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
    """`atomic_write_bytes` of a text in UTF-8."""
    return atomic_write_bytes(path, text.encode('utf-8'))


def atomic_write_bytes(path: epath.Path, content: bytes) -> epath.Path:
    """Writes beside `path`, of any file system, and renames: whoever reads sees the old content or the new one."""
    if is_remote(path):
        return write_bytes(path, content)
    beside = path.parent / partial_name()
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    return path


@contextlib.contextmanager
def partial_folder(parent: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A new hidden folder in `parent` to build something in; renamed by who asked for it, or removed. Raises OSError."""
    folder = pathlib.Path(parent, partial_name())
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def partial_name() -> str:
    """A name, hidden and new, for a file or folder that this process is writing."""
    return f'.{"-".join(map(str, this_process()))}-{secrets.token_hex(4)}.partial'


def remove_abandoned(folder: str) -> int:
    """Removes what processes of this machine that were killed left half written in a folder; returns how many."""
    count = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = PARTIAL.fullmatch(name)
            if match and is_running(Process(match[1], int(match[2]), match[3])) is False:
                with contextlib.suppress(OSError):
                    path = os.path.join(folder, name)
                    (shutil.rmtree if os.path.isdir(path) else os.remove)(path)
                    count += 1
    return count


def is_within(path: str, folder: str) -> bool:
    """Whether local `path` lies below `folder`, links resolved."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ''))


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path is a URL such as gs://BUCKET/FOLDER."""
    return '://' in str(path)


def validate_local(path: str, flag: str) -> None:
    """Raises UserError for a URL where a command writes local files: they would go to a folder named 'gs:' here."""
    if is_remote(path):
        raise UserError(f'{flag}={path}: this command writes to this machine only; name a place here, and copy that')


def absolute(path: str) -> epath.Path:
    """The path from the root, links resolved, or the URL as it is; raises UserError where it is not valid Unicode."""
    if printable(path) != path:  # TensorStore and JSON take no other
        raise UserError(f'{path}: a path with bytes that are not UTF-8; rename it')
    if not is_remote(path):
        return epath.Path(path).resolve()
    prepare_bucket(path)
    return epath.Path(path)


def prepare_bucket(path: str | os.PathLike) -> None:
    """To be called before a bucket is used; raises UserError where a package is missing. Nothing for other paths."""
    if not str(path).startswith('gs://'):
        return
    if missing := [package for module, package in BUCKET_PACKAGES.items() if not is_installed(module)]:
        raise UserError(f'{path} needs {" and ".join(missing)}; hint: pip install -e .[gcs]')
    import fsspec.config

    # a listing that is kept does not show what TensorStore or another machine writes
    fsspec.config.conf.setdefault('gcs', {}).setdefault('use_listings_cache', False)


def is_installed(module: str) -> bool:
    """Whether a module could be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False


@contextlib.contextmanager
def bucket_errors(path: str | os.PathLike) -> Iterator[None]:
    """Raises OSError in place of what a bucket's library raises: no answer, no permission, no credentials."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if not is_remote(path):
            raise
        raise OSError(f'{path}: {named_line(error)}') from error


def read_bytes(path: epath.Path) -> bytes:
    """The content of a file, or of an object in a single request; raises OSError."""
    if not is_remote(path):
        return path.read_bytes()
    import fsspec  # here: what reads local files starts without it

    with bucket_errors(path):
        system, name = fsspec.core.url_to_fs(str(path))
        return system.cat_file(name)


def write_bytes(path: epath.Path, content: bytes) -> epath.Path:
    """Writes a file, or an object as a whole in a single request; raises OSError."""
    if not is_remote(path):
        path.write_bytes(content)
        return path
    import fsspec

    with bucket_errors(path):
        system, name = fsspec.core.url_to_fs(str(path))
        system.pipe_file(name, content)
    return path


def make_folder(path: str | os.PathLike, named: str, hint: str = 'name a folder that can be written') -> None:
    """Makes a local folder and those above it; raises UserError that begins with `named`, such as '--workdir=x'."""
    if not os.fspath(path):  # of a shell variable that is not set; it would be the folder that one is in
        raise UserError(f'{named} is empty; {hint}')
    try:
        epath.Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'{named} cannot be made: {error.strerror or first_line(error)}; {hint}') from error


def validate_writable(folder: str, flag: str = '--workdir') -> None:
    """Writes an object into a bucket's folder and deletes it; raises UserError where that fails."""
    prepare_bucket(folder)
    path = epath.Path(folder) / partial_name()
    try:
        write_bytes(path, b'')
        with bucket_errors(path):
            path.unlink()
    except OSError as error:
        bucket = '/'.join(str(folder).split('/')[:3])
        reason = f'there is no bucket {bucket}' if isinstance(error, FileNotFoundError) else first_line(error)
        raise UserError(
            f'{flag}={folder} cannot be written: {reason}; hint: gcloud storage buckets create {bucket}, or '
            'roles/storage.objectUser on it for the account of this machine'
        ) from error


def cache_folder() -> pathlib.Path:
    """The user's folder for what can be made or downloaded again: XDG_CACHE_HOME/ugatit_jax or ~/.cache/ugatit_jax."""
    return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ugatit_jax'


@contextlib.contextmanager
def folder_for_bucket(target: str, last: str) -> Iterator[pathlib.Path]:
    """A local folder whose files are copied to `target` in a bucket when it is complete; those named `last` at the end."""
    with tempfile.TemporaryDirectory() as place:
        yield pathlib.Path(place)
        files = [path for path in pathlib.Path(place).rglob('*') if path.is_file()]
        for path in sorted(files, key=lambda path: path.name == last):  # last what says that all is there
            write_bytes(epath.Path(target) / path.relative_to(place).as_posix(), path.read_bytes())
