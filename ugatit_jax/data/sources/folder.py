"""Images in folders named trainA, trainB, testA, testB: local, or on any file system that fsspec opens."""

import collections
import hashlib
import logging
import os
import stat

import numpy as np
from etils import epath

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import bucket_errors, is_remote, prepare_bucket, read_bytes
from ugatit_jax.data.decode import DecodeError, Probe, decode, probe
from ugatit_jax.data.sources.splits import MissingSplit

logger = logging.getLogger(__name__)

JUNK_FILES = {'thumbs.db', 'desktop.ini', 'icon\r', 'index.html'}  # the last: a page of translate --compare
JUNK_FOLDERS = {'__macosx'}
NOTES = {'.txt', '.md', '.csv', '.tsv', '.json', '.jsonl', '.xml', '.yaml', '.yml'}  # kept beside images, never one
NOT_A_FILE = 'no file: '  # begins the stamp of an entry that must not be opened
VERSIONS = ('generation', 'mtime', 'LastModified', 'ETag', 'etag')  # what file systems call the version or time of a file


class FolderSource:
    """The images under one folder, sorted by name; nothing is read before `read` asks for it."""

    def __init__(
        self,
        root: str,
        channels: int,
        background: tuple[int, int, int] = (255, 255, 255),
        draft_side: int = 0,
        plain: bool = False,
    ):
        """background, draft_side and plain as in `decode`."""
        self.name = f'folder:{root}'
        self.root = root
        self._channels = channels
        self._decoding = {'background': background, 'draft_side': draft_side, 'plain': plain}
        entries = list_folder(root)
        if not entries:
            raise MissingSplit(f'{root} holds no images')
        self.keys = [key for key, _ in entries]
        self._stamps = [stamp for _, stamp in entries]

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""
        return decode(self._read_bytes(i), self._channels, **self._decoding)

    def probe(self, i: int) -> Probe:
        """Reads image i in full for the scan, or DecodeError."""
        return probe(self._read_bytes(i), self._channels)

    def stamp(self, i: int) -> str:
        """Size, time and channels of image i: what a scan's result of it depends on."""
        return f'{self._stamps[i]} as {self._channels} channels'  # a file may decode to one number and not to another

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        parts = [self.name, self._channels, self._decoding, self.keys, self._stamps]
        return hashlib.sha256(repr(parts).encode('utf-8', 'backslashreplace')).hexdigest()

    def _read_bytes(self, i: int) -> bytes:
        if self._stamps[i].startswith(NOT_A_FILE):
            raise DecodeError(self._stamps[i])
        try:
            if is_remote(self.root):
                return read_bytes(epath.Path(self.root) / self.keys[i])
            with open(os.path.join(self.root, self.keys[i]), 'rb') as file:
                return file.read()
        except OSError as error:
            raise DecodeError(f'cannot be read: {error.strerror or first_line(error)}') from error


def split_folder(root: str, split: str) -> str:
    """The path of a split's folder; raises UserError, or MissingSplit, saying what was looked for and what is there."""
    prepare_bucket(root)
    path = f'{root.rstrip("/") or "/"}/{split}'
    if epath.Path(path).is_dir():
        return path
    hint = (
        'a folder source has trainA and trainB with images in them, and testA and testB for evaluation '
        '(or try --config.data.source=synthetic:faces, which needs no files)'
    )
    if not epath.Path(root).is_dir():
        raise UserError(f'data.source=folder:{root}: no such folder; {hint}')
    there = sorted(path.name for path in epath.Path(root).iterdir())
    if split in there:
        raise UserError(f'data.source=folder:{root}: {split} is not a folder; {hint}')
    listing = ', '.join(there[:8]) + (' ...' if len(there) > 8 else '') or 'nothing'  # 8 fit on a line
    raise MissingSplit(f'data.source=folder:{root}: no {split} in it, there is {listing}; {hint}')


def list_folder(root: str) -> list[tuple[str, str]]:
    """(name relative to root, stamp) of everything under `root` that may be an image, sorted; junk is left out.

    Raises UserError where the folder cannot be listed.
    """
    try:
        found, notes = list_remote(root) if is_remote(root) else list_local(root)
    except OSError as error:
        raise UserError(f'cannot list {root}: {error.strerror or first_line(error)}') from error
    if notes:
        kinds = ', '.join(f'{count} {suffix}' for suffix, count in sorted(notes.items()))
        logger.info('%s: left out files whose names are not those of images: %s', root, kinds)
    return sorted(found)


def list_local(root: str) -> tuple[list[tuple[str, str]], collections.Counter]:
    """The (name, stamp) of each entry of a local folder, and how many notes of each suffix were left out."""
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
                    if not is_junk(entry.name, JUNK_FOLDERS):
                        pending.append(key)
                elif not (is_note(entry.name, notes) or is_junk(entry.name, JUNK_FILES)):
                    found.append((key, local_stamp(entry)))
    return found, notes


def local_stamp(entry: os.DirEntry) -> str:
    """'size:time' of a file; for anything else NOT_A_FILE and what it is."""
    try:
        status = entry.stat()
    except OSError as error:
        return f'{NOT_A_FILE}dangling link' if entry.is_symlink() else f'{NOT_A_FILE}{error.strerror}'
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        return f'{NOT_A_FILE}a pipe, socket or device'
    return f'{status.st_size}:{status.st_mtime_ns}'


def list_remote(root: str) -> tuple[list[tuple[str, str]], collections.Counter]:
    """As `list_local`, of a file system that fsspec opens: a bucket lists 1000 objects a request, at any depth."""
    import fsspec  # here: what reads local files starts without it

    with bucket_errors(root):
        system, base = fsspec.core.url_to_fs(root)
        entries = system.find(base, detail=True)
    found, notes = [], collections.Counter()
    for path, about in entries.items():
        key = path.removeprefix(base.rstrip('/')).removeprefix('/')
        *folders, name = key.split('/')
        if name == '' or any(is_junk(folder, JUNK_FOLDERS) for folder in folders):  # '': an object that marks a folder
            continue
        if not (is_note(name, notes) or is_junk(name, JUNK_FILES)):
            found.append((key, f'{about["size"]}:{next((about[key] for key in VERSIONS if key in about), "")}'))
    return found, notes


def is_junk(name: str, known: set[str]) -> bool:
    """Whether a name is hidden or one of those known to be left behind by operating systems and tools."""
    return name.startswith('.') or name.lower() in known


def is_note(name: str, notes: collections.Counter) -> bool:
    """Whether a name is that of a text beside images; counts it in `notes` by its suffix."""
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith('.') or suffix not in NOTES:
        return False
    notes[suffix] += 1
    return True
