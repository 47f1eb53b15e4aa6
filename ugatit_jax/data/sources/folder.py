"""Images in folders named trainA, trainB, testA, testB: local, or on any file system that epath opens."""

import collections
import concurrent.futures
import hashlib
import logging
import os
import stat

import numpy as np
from etils import epath

from ugatit_jax.data.decode import DecodeError, Probe, decode, probe
from ugatit_jax.data.sources.splits import MissingSplit
from ugatit_jax.errors import UserError

_logger = logging.getLogger(__name__)

_JUNK_FILES = {'thumbs.db', 'desktop.ini', 'icon\r', 'index.html'}  # the last: a page of translate --compare
_JUNK_FOLDERS = {'__macosx'}
_NOTES = {'.txt', '.md', '.csv', '.tsv', '.json', '.jsonl', '.xml', '.yaml', '.yml'}  # kept beside images, never one
_NOT_A_FILE = 'no file: '  # a stamp that starts so marks an entry that must not be opened


class FolderSource:
    """The images under one folder, in the order of their names; nothing is read before `read` asks for it."""

    def __init__(self, root: str, channels: int, background: tuple[int, int, int] = (255, 255, 255), draft_side: int = 0):
        self.name = f'folder:{root}'
        self.root = root
        self._channels, self._background, self._draft_side = channels, background, draft_side
        entries = list_folder(root)
        if not entries:
            raise MissingSplit(f'{root} holds no images')
        self.keys = [key for key, _ in entries]
        self._stamps = [stamp for _, stamp in entries]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""
        return decode(self._read_bytes(i), self._channels, self._background, self._draft_side)

    def probe(self, i: int) -> Probe:
        """Reads image i in full for the scan, or DecodeError."""
        return probe(self._read_bytes(i), self._channels)

    def stamp(self, i: int) -> str:
        """Changes when file i changes, or what is asked of it: its size and time, and the channels."""
        return f'{self._stamps[i]} as {self._channels} channels'  # a file may be right for one number and not another

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        parts = [self.name, self._channels, self._background, self._draft_side, self.keys, self._stamps]
        return hashlib.sha256(repr(parts).encode('utf-8', 'backslashreplace')).hexdigest()

    def _read_bytes(self, i: int) -> bytes:
        if self._stamps[i].startswith(_NOT_A_FILE):
            raise DecodeError(self._stamps[i])
        try:
            if _is_remote(self.root):
                return (epath.Path(self.root) / self.keys[i]).read_bytes()
            with open(os.path.join(self.root, self.keys[i]), 'rb') as file:
                return file.read()
        except OSError as error:
            raise DecodeError(f'cannot be read: {error.strerror or error}') from error


def check_folder(root: str, split: str) -> str:
    """Returns the path of a split's folder, or raises the line that says what was looked for and what is there."""
    path = f'{root.rstrip("/") or "/"}/{split}'
    if epath.Path(path).is_dir():
        return path
    ways = (
        'a folder source has trainA and trainB with images in them, and testA and testB for evaluation '
        '(or try --config.data.source=synthetic:faces, which needs no files)'
    )
    if not epath.Path(root).is_dir():
        raise UserError(f'data.source=folder:{root}: no such folder; {ways}')
    there = sorted(path.name for path in epath.Path(root).iterdir())
    if split in there:
        raise UserError(f'data.source=folder:{root}: {split} is not a folder; {ways}')
    listing = ', '.join(there[:8]) + (' ...' if len(there) > 8 else '') or 'nothing'
    raise MissingSplit(f'data.source=folder:{root}: no {split} in it, there is {listing}; {ways}')


def list_folder(root: str) -> list[tuple[str, str]]:
    """Lists (name relative to root, stamp) of everything under it that may be an image, sorted; junk is left out."""
    try:
        found, notes = _list_remote(root) if _is_remote(root) else _list_local(root)
    except OSError as error:
        raise UserError(f'cannot list {root}: {error.strerror or error}') from error
    if notes:
        kinds = ', '.join(f'{count} {suffix}' for suffix, count in sorted(notes.items()))
        _logger.info('%s: left out files that are no images by their names: %s', root, kinds)
    return sorted(found)


def _list_local(root: str):
    found, notes = [], collections.Counter()
    pending, visited = [''], set()
    while pending:
        folder = pending.pop()
        real = os.path.realpath(os.path.join(root, folder))
        if real in visited:  # a link to a folder above itself
            continue
        visited.add(real)
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                key = f'{folder}/{entry.name}' if folder else entry.name
                if entry.is_dir():
                    if not _is_junk(entry.name, _JUNK_FOLDERS):
                        pending.append(key)
                elif _is_note(entry.name, notes) or _is_junk(entry.name, _JUNK_FILES):
                    continue
                else:
                    found.append((key, _local_stamp(entry)))
    return found, notes


def _local_stamp(entry: os.DirEntry) -> str:
    try:
        status = entry.stat()
    except OSError as error:
        return f'{_NOT_A_FILE}dangling link' if entry.is_symlink() else f'{_NOT_A_FILE}{error.strerror}'
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        return f'{_NOT_A_FILE}a pipe, socket or device'
    return f'{status.st_size}:{status.st_mtime_ns}'


def _list_remote(root: str):
    base = epath.Path(root)
    notes = collections.Counter()

    def visit(path: epath.Path):
        if path.is_dir():
            return path, None
        status = path.stat()
        return path, f'{status.length}:{status.mtime}'

    found, pending = [], [base]
    with concurrent.futures.ThreadPoolExecutor(32) as pool:  # each question is a round trip
        while pending:
            children = [child for folder in pending for child in folder.iterdir()]
            pending = []
            for path, stamp in pool.map(visit, children):
                if stamp is None:
                    if not _is_junk(path.name, _JUNK_FOLDERS):
                        pending.append(path)
                elif not (_is_note(path.name, notes) or _is_junk(path.name, _JUNK_FILES)):
                    found.append((path.relative_to(base).as_posix(), stamp))
    return found, notes


def _is_remote(path: str) -> bool:
    return '://' in path


def _is_junk(name: str, known: set[str]) -> bool:
    return name.startswith('.') or name.lower() in known


def _is_note(name: str, notes: collections.Counter) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith('.') or suffix not in _NOTES:
        return False
    notes[suffix] += 1
    return True
