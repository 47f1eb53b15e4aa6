"""Reads what torch.save wrote, zip and legacy form, without torch and without running the pickle inside.

A pickle is a program for a machine that can call any function. Here its instructions are looked at one by one, and only
those are followed that describe containers, numbers, text and tensors; every other instruction or name refuses the file.
"""

import io
import mmap
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from ugatit_jax.errors import UserError, first_line

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # the first of the legacy form's pickles
STORAGES = {
    'torch.FloatStorage': np.float32,
    'torch.DoubleStorage': np.float64,
    'torch.HalfStorage': np.float16,
    'torch.BFloat16Storage': ml_dtypes.bfloat16,
    'torch.LongStorage': np.int64,
    'torch.IntStorage': np.int32,
    'torch.ShortStorage': np.int16,
    'torch.CharStorage': np.int8,
    'torch.ByteStorage': np.uint8,
    'torch.BoolStorage': np.bool_,
}
CONSTANTS = {
    'BININT',
    'BININT1',
    'BININT2',
    'INT',
    'LONG',
    'LONG1',
    'LONG4',
    'BINFLOAT',
    'FLOAT',
    'BINUNICODE',
    'SHORT_BINUNICODE',
    'BINUNICODE8',
    'UNICODE',
    'BINSTRING',
    'SHORT_BINSTRING',
    'STRING',
}
LITERALS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False, 'EMPTY_TUPLE': ()}
TUPLES = {'TUPLE1': 1, 'TUPLE2': 2, 'TUPLE3': 3}
# what truncated or damaged pickles and archives end in: the stack runs empty, records are missing, numbers are too large
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
LARGEST_TREE = 1_000_000  # items in a file; a few bytes of pickle can describe more than any memory holds


class Refused(Exception):
    """Why a file is not read; `load` puts the file's name before it."""


class Global(NamedTuple):
    """A name that a pickle mentions; only compared, never looked up."""

    name: str


class Storage(NamedTuple):
    """Numbers that lie elsewhere in the file."""

    key: str
    dtype: np.dtype
    numel: int


class Tensor(NamedTuple):
    """A view of a storage, in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def load(path: str) -> Any:
    """The object in a file of torch.save: dicts, lists, numbers, text, and tensors as read-only arrays.

    Raises UserError, one line, for a file that is damaged, is of something else, or holds more than that.
    """
    try:
        with open(path, 'rb') as file:
            start = file.read(4)
            if start == b'PK\x03\x04':
                return load_zip(file)
            if start[:1] == b'\x80':
                return load_legacy(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        raise Refused('is not a file of torch.save')
    except Refused as error:
        raise UserError(f'{path} {error}') from error
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}') from error
    except DAMAGE as error:
        raise UserError(f'{path} is truncated or damaged, or not of torch.save: {first_line(error)}') from error


def load_zip(file: BinaryIO) -> Any:
    """The object in the zip form, torch's default since 1.6."""
    with zipfile.ZipFile(file) as archive:
        roots = [name.removesuffix('data.pkl') for name in archive.namelist() if name.endswith('/data.pkl')]
        if len(roots) != 1:
            raise Refused('is an archive, but not one of torch.save: it has no data.pkl')
        if any(info.compress_type for info in archive.infolist()):
            raise Refused('is compressed, which torch.save never does')
        root, names = roots[0], set(archive.namelist())
        if f'{root}byteorder' in names and archive.read(f'{root}byteorder') != b'little':
            raise Refused('was written by a big-endian machine; save it again on a common one')

        def read(storage: Storage) -> bytes:
            record = archive.getinfo(f'{root}data/{storage.key}')
            check_length(storage, record.file_size)
            return archive.read(record)

        return materialize(interpret(io.BytesIO(archive.read(f'{root}data.pkl'))), read)


def load_legacy(data: mmap.mmap) -> Any:
    """The object in the form before torch 1.6: pickles of a magic number, version, machine, object and storage keys."""
    if interpret(data) != LEGACY_MAGIC:
        raise Refused('is a pickle, but not a file of torch.save')
    interpret(data)  # protocol version, 1001 ever since
    if not interpret(data)['little_endian']:
        raise Refused('was written by a big-endian machine; save it again on a common one')
    tree, keys = interpret(data), interpret(data)
    dtypes: dict[str, np.dtype] = {}
    visit(tree, lambda tensor: dtypes.__setitem__(tensor.storage.key, tensor.storage.dtype))
    spans, position = {}, data.tell()
    for key in keys:  # each: number of elements as int64, then the elements
        if key not in dtypes:
            raise Refused(f'has numbers (storage {key}) that no tensor uses')
        length = int.from_bytes(data[position : position + 8], 'little') * dtypes[key].itemsize
        spans[key] = (position + 8, length)
        position += 8 + length
    if position > len(data):
        raise Refused(f'is truncated: it should have {position} bytes and has {len(data)}')

    def read(storage: Storage) -> memoryview:
        start, length = spans[storage.key]
        check_length(storage, length)
        return memoryview(data)[start : start + length]

    return materialize(tree, read)


def check_length(storage: Storage, length: int) -> None:
    """Refuses a storage whose bytes are not as many as its numbers need."""
    if length != storage.numel * storage.dtype.itemsize:
        raise Refused(f'is damaged: storage {storage.key} has {length} bytes for {storage.numel} of {storage.dtype}')


def interpret(stream: Any) -> Any:
    """What one pickle describes, with tensors as `Tensor`; `stream` is left behind it. Calls nothing that it names."""
    stack: list[Any] = []
    outer: list[list[Any]] = []  # stacks below the open marks
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in CONSTANTS:
            stack.append(argument)
        elif name in LITERALS:
            stack.append(LITERALS[name])
        elif name in ('BINPUT', 'LONG_BINPUT', 'PUT', 'MEMOIZE'):
            memo[len(memo) if argument is None else argument] = stack[-1]
        elif name in ('BINGET', 'LONG_BINGET', 'GET'):
            stack.append(memo[argument])
        elif name == 'MARK':
            outer.append(stack)
            stack = []
        elif name in ('EMPTY_DICT', 'EMPTY_LIST'):
            stack.append({} if name == 'EMPTY_DICT' else [])
        elif name in TUPLES:
            n = TUPLES[name]
            stack[-n:] = [tuple(stack[-n:])]
        elif name in ('TUPLE', 'LIST', 'DICT', 'SETITEMS', 'APPENDS'):
            items, stack = stack, outer.pop()
            if name == 'TUPLE':
                stack.append(tuple(items))
            elif name in ('LIST', 'DICT'):
                stack.append(items if name == 'LIST' else dict(zip(items[::2], items[1::2], strict=True)))
            else:
                extend(stack[-1], items)
        elif name == 'SETITEM':
            value, key = stack.pop(), stack.pop()
            extend(stack[-1], [key, value])
        elif name == 'APPEND':
            extend(stack[-1], [stack.pop()])
        elif name == 'GLOBAL':
            stack.append(known(argument.replace(' ', '.', 1)))
        elif name == 'STACK_GLOBAL':
            attribute, module = stack.pop(), stack.pop()
            stack.append(known(f'{module}.{attribute}'))
        elif name == 'REDUCE':
            arguments, function = stack.pop(), stack.pop()
            stack.append(CALLS[function.name](*arguments))
        elif name == 'BINPERSID':
            stack.append(storage_of(*stack.pop()))
        elif name == 'BUILD':  # a state_dict's _metadata: versions of its modules
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise Refused('sets the state of an object, which weights do not have; nothing in it was run')
        elif name == 'STOP':
            return stack.pop()
        elif name not in ('PROTO', 'FRAME'):
            raise Refused(f'has an instruction ({name}) that weights do not need; nothing in it was run')
    raise Refused('is truncated')


def extend(target: Any, items: list[Any]) -> None:
    """Adds items to a list, or keys and values in turn to a dict."""
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, dict):
        target.update(zip(items[::2], items[1::2], strict=True))
    else:
        raise Refused(f'is damaged: it adds items to a {type(target).__name__}')


def known(name: str) -> Global:
    """A name that files of weights have; raises Refused for every other."""
    if name not in CALLS and name not in STORAGES:
        raise Refused(f'holds {name}, and only dictionaries of weights are read; nothing in it was run')
    return Global(name)


def storage_of(kind: str, dtype: Global, key: str, location: str, numel: int, view: None = None) -> Storage:
    """The storage that a persistent id names, on whatever device it was."""
    if kind != 'storage' or view is not None:
        raise Refused(f'refers to a {kind!r}, and only plain storages are read')
    return Storage(str(key), np.dtype(STORAGES[dtype.name]), int(numel))


def tensor_of(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor; raises Refused where it reaches beyond its storage."""
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise Refused(f'is damaged: a tensor of shape {shape}')
    count = int(np.prod([int(n) for n in shape], dtype=object))
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    # more elements than numbers would be an expanded tensor, which could be larger than any memory
    if count and (last >= storage.numel or count > storage.numel):
        raise Refused(f'is damaged: a tensor of shape {shape} reaches beyond its {storage.numel} numbers')
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def dictionary_of(items: list[Any] | None = None) -> dict[Any, Any]:
    """OrderedDict() or OrderedDict([[key, value], ...])."""
    return {key: value for key, value in items or []}


CALLS: dict[str, Callable[..., Any]] = {  # what stands in for the functions that a file of weights names
    'collections.OrderedDict': dictionary_of,
    'torch._utils._rebuild_tensor': tensor_of,
    'torch._utils._rebuild_tensor_v2': tensor_of,
    'torch._utils._rebuild_parameter': lambda tensor, *_: tensor,
}


def visit(tree: Any, function: Callable[[Tensor], Any], budget: Iterator[int] | None = None) -> Any:
    """A copy of a tree of dicts, lists and tuples with function(tensor) in place of every tensor."""
    budget = budget or iter(range(LARGEST_TREE))
    if next(budget, None) is None:
        raise Refused(f'has more than {LARGEST_TREE} items, or contains itself')
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: visit(value, function, budget) for key, value in tree.items()}
    if isinstance(tree, list | tuple) and not isinstance(tree, Storage | Global):
        return [visit(value, function, budget) for value in tree]
    return tree


def materialize(tree: Any, read: Callable[[Storage], Any]) -> Any:
    """The tree with arrays in place of tensors; `read` gives the bytes of a storage, once each."""
    buffers: dict[Storage, Any] = {}  # by all of it: another size or type under the same key is checked by itself

    def array(tensor: Tensor) -> np.ndarray:
        storage = tensor.storage
        if storage not in buffers:
            buffers[storage] = read(storage)
        flat = np.frombuffer(buffers[storage], storage.dtype)
        strides = [stride * flat.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides, writeable=False)

    return visit(tree, array)
