"""Reads files of torch.save, in the zip and the legacy form, without torch and without running the pickle inside."""

import io
import mmap
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from ugatit_jax.checkpoint.torch_pickle import MAX_SHOWN, Storage, Tensor, UnreadableFile, interpret, map_tensors, text
from ugatit_jax.common.errors import UserError, short_line

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first of the legacy form's pickles
SHOWN_BYTES = 24  # of a file of something else: enough to see a web page or the pointer of git LFS
# what reading a truncated or damaged file raises: the stack runs empty, records are missing, numbers are too large
DAMAGE = (
    zipfile.BadZipFile,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def load(path: str) -> Any:
    """The object in a file of torch.save: dicts, lists, numbers, text, and tensors as read-only arrays.

    Raises UserError, one line, for a file that is damaged, is of something else, or holds more than that.
    """
    try:
        with open(path, 'rb') as file:
            start = file.read(SHOWN_BYTES)
            if start.startswith(b'PK\x03\x04'):
                return load_zip(file)
            if start[:1] == b'\x80':
                return load_legacy(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        begins = f'begins with {start!r}' if start else 'is empty'
        raise UnreadableFile(f'is not a file of torch.save: it {begins}; download or copy it again, or name another')
    except UnreadableFile as error:
        raise UserError(f'{path} {error}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    except DAMAGE as error:
        raise UserError(f'{path} is truncated or damaged, or not of torch.save: {short_line(error)}') from error


def load_zip(file: BinaryIO) -> Any:
    """The object in the zip form, torch's default since 1.6."""
    with zipfile.ZipFile(file) as archive:
        roots = [name.removesuffix('data.pkl') for name in archive.namelist() if name.endswith('/data.pkl')]
        if len(roots) != 1:
            raise UnreadableFile('is an archive, but not one of torch.save: it has no data.pkl')
        if any(info.compress_type for info in archive.infolist()):
            raise UnreadableFile('is compressed, which torch.save never does')
        if sum(info.file_size for info in archive.infolist()) > file.seek(0, io.SEEK_END):
            raise UnreadableFile('is damaged: its records overlap')  # a few bytes would be read as many arrays
        root, names = roots[0], set(archive.namelist())
        if f'{root}byteorder' in names and archive.read(f'{root}byteorder') != b'little':
            raise UnreadableFile('was written by a big-endian machine; save it again on a little-endian one')

        def read(storage: Storage) -> bytes:
            record = archive.getinfo(f'{root}data/{storage.key}')
            validate_length(storage, record.file_size)
            return archive.read(record)

        return to_arrays(interpret(io.BytesIO(archive.read(f'{root}data.pkl'))), read)


def load_legacy(data: mmap.mmap) -> Any:
    """The object in the form before torch 1.6: pickles of a magic number, version, machine, object and storage keys."""
    if interpret(data) != LEGACY_MAGIC:
        raise UnreadableFile('is a pickle, but not a file of torch.save')
    interpret(data)  # protocol version, 1001 in every release of torch
    if not interpret(data)['little_endian']:
        raise UnreadableFile('was written by a big-endian machine; save it again on a little-endian one')
    tree, keys = interpret(data), interpret(data)
    dtypes: dict[str, np.dtype] = {}
    map_tensors(lambda tensor: dtypes.__setitem__(tensor.storage.key, tensor.storage.dtype), tree)
    spans, position = {}, data.tell()
    for key in keys:  # each: number of elements as int64, then the elements
        if text(key, 'the key of a storage') not in dtypes:
            raise UnreadableFile(f'has numbers (storage {key[:MAX_SHOWN]}) that no tensor uses')
        length = int.from_bytes(data[position : position + 8], 'little') * dtypes[key].itemsize
        spans[key] = (position + 8, length)
        position += 8 + length
    if position > len(data):
        raise UnreadableFile(f'is truncated: it should have {position} bytes and has {len(data)}')

    def read(storage: Storage) -> memoryview:
        start, length = spans[storage.key]
        validate_length(storage, length)
        return memoryview(data)[start : start + length]

    return to_arrays(tree, read)


def validate_length(storage: Storage, length: int) -> None:
    """Raises UnreadableFile unless a storage's `length` in bytes is that of its numbers."""
    if length != storage.numel * storage.dtype.itemsize:
        raise UnreadableFile(
            f'is damaged: {storage.numel} numbers of {storage.dtype} in {length} bytes (storage {storage.key[:MAX_SHOWN]})'
        )


def to_arrays(tree: Any, read: Callable[[Storage], Any]) -> Any:
    """The tree with arrays in place of tensors; `read` returns the bytes of a storage, and is called once for each."""
    buffers: dict[Storage, Any] = {}  # by key, type and size: another type or size under the same key is validated, too

    def array(tensor: Tensor) -> np.ndarray:
        storage = tensor.storage
        if storage not in buffers:
            buffers[storage] = read(storage)
        numbers = np.frombuffer(buffers[storage], storage.dtype)
        strides = [stride * numbers.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False)

    return map_tensors(array, tree)
