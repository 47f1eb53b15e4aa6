"""Writes files as torch.save does, without torch: dicts of arrays in the zip and in the legacy form."""

import struct
import zipfile
from typing import Any

import numpy as np

from ugatit_jax.checkpoint.torch_file import LEGACY_MAGIC
from ugatit_jax.checkpoint.torch_pickle import STORAGES

NAMES = {np.dtype(dtype): name.removeprefix('torch.') for name, dtype in STORAGES.items()}


class View:
    """A tensor that is not the whole of its storage, or lies."""

    def __init__(self, key, array, offset, shape, strides, numel=None):
        self.key, self.array, self.offset, self.shape, self.strides = key, array, offset, shape, strides
        self.numel = array.size if numel is None else numel


def instructions(tree: Any, storages: dict[str, np.ndarray], legacy: bool) -> bytes:
    """Pickle instructions (protocol 2) of a tree; fills `storages`."""

    def text(value):
        return b'X' + struct.pack('<I', len(value.encode())) + value.encode()

    def integer(value):
        return b'J' + struct.pack('<i', value) if abs(value) < 1 << 31 else b'\x8a\x09' + value.to_bytes(9, 'little')

    def tensor(view):
        storages[view.key] = view.array
        # ('storage', torch.FloatStorage, key, 'cpu', numel), with a view of the storage in the legacy form
        storage = b'(' + text('storage') + b'ctorch\n' + NAMES[view.array.dtype].encode() + b'\n' + text(view.key)
        storage += text('cpu') + integer(view.numel) + (b'N' if legacy else b'') + b'tQ'
        sizes = [b'(' + b''.join(map(integer, numbers)) + b't' for numbers in (view.shape, view.strides)]
        rest = b'\x89ccollections\nOrderedDict\n)R'
        return b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + integer(view.offset) + b''.join(sizes) + rest + b'tR'

    def value_of(value):
        if isinstance(value, np.ndarray):
            value = np.asarray(value, order='C')
            strides = [stride // value.itemsize for stride in value.strides]
            value = View(str(len(storages)), value, 0, value.shape, strides)
        if isinstance(value, View):
            return tensor(value)
        if isinstance(value, dict):
            items = b''.join(text(key) + value_of(item) for key, item in value.items())
            return b'ccollections\nOrderedDict\n)R(' + items + b'u'
        return text(value) if isinstance(value, str) else integer(value)

    return b'\x80\x02' + value_of(tree) + b'.'


def write_zip(path: Any, tree: Any = None, *, pickled: bytes | None = None) -> None:
    """The zip form of `tree`, or with other instructions in it."""
    storages: dict[str, np.ndarray] = {}
    pickled = instructions(tree, storages, False) if pickled is None else pickled
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', pickled)
        archive.writestr('archive/byteorder', 'little')
        for key, array in storages.items():
            archive.writestr(f'archive/data/{key}', array.tobytes())


def write_legacy(path: Any, tree: Any = None, *, pickled: bytes | None = None) -> None:
    """The legacy form of `tree`, or with other instructions in it."""
    storages: dict[str, np.ndarray] = {}
    pickled = instructions(tree, storages, True) if pickled is None else pickled
    magic = b'\x80\x02\x8a\x0a' + LEGACY_MAGIC.to_bytes(10, 'little') + b'.'
    keys = b'\x80\x02](' + b''.join(b'X' + struct.pack('<I', len(key)) + key.encode() for key in storages) + b'e.'
    with open(path, 'wb') as file:
        file.write(magic + b'\x80\x02M\xe9\x03.' + b'\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.' + pickled + keys)
        for array in storages.values():
            file.write(struct.pack('<q', array.size) + array.tobytes())
