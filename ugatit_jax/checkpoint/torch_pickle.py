"""Interprets the pickle of a torch.save file without torch and without running it.

A pickle is a program for a machine that can call any function. Here its instructions are read one by one, and only those
are followed that describe containers, numbers, text and tensors; every other instruction or name makes the file unreadable.
"""

import math
import pickletools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

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
CONSTANTS = {  # instructions that push their argument
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
MAX_ITEMS = 1_000_000  # of a file: a few bytes of pickle can describe more than fits into any memory; a model has thousands
MAX_INSTRUCTIONS = 10 * MAX_ITEMS  # a tensor takes about 30
MAX_AXES = 64  # of a tensor, as in NumPy
MAX_SHOWN = 100  # characters of a text of the file that a message shows
MAX_NUMBER = 2**62  # of elements; larger integers take long to multiply and to print


class UnreadableFile(Exception):
    """Why a file is not read: 'is damaged: ...'; `torch_file.load` puts the file's name before it."""


class GlobalName(NamedTuple):
    """A class or function that a pickle names; compared, never imported."""

    name: str


class Storage(NamedTuple):
    """A block of numbers elsewhere in the file."""

    key: str
    dtype: np.dtype
    numel: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def interpret(stream: Any) -> Any:
    """The object that one pickle describes, with a `Tensor` for each tensor; `stream` ends up behind the pickle.

    Calls nothing that the pickle names, and neither hashes, compares nor prints what it made, before its type is known: of
    tuples that share their parts, a file of 600 bytes makes more than can be walked through. Raises UnreadableFile, or what
    DAMAGE of torch_file lists for a damaged pickle.
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []  # stacks below the open marks
    memo: dict[int, Any] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        name = opcode.name
        if count > MAX_INSTRUCTIONS:
            raise UnreadableFile(f'has more than {MAX_INSTRUCTIONS} instructions, and weights have thousands')
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
                stack.append(items if name == 'LIST' else pairs(items))
            else:
                extend(stack[-1], items)
        elif name == 'SETITEM':
            value, key = stack.pop(), stack.pop()
            extend(stack[-1], [key, value])
        elif name == 'APPEND':
            extend(stack[-1], [stack.pop()])
        elif name == 'GLOBAL':
            stack.append(allowed_global(argument.replace(' ', '.', 1)))
        elif name == 'STACK_GLOBAL':
            attribute, module = stack.pop(), stack.pop()
            stack.append(allowed_global(f'{text(module, "name")}.{text(attribute, "name")}'))
        elif name == 'REDUCE':
            arguments, function = stack.pop(), stack.pop()
            if not isinstance(function, GlobalName) or not isinstance(arguments, tuple):
                raise UnreadableFile('is damaged: it calls what is no function')
            if function.name not in REPLACEMENTS:
                raise UnreadableFile(
                    f'calls {function.name}, and only tensors and dictionaries are made; nothing in it was run'
                )
            stack.append(REPLACEMENTS[function.name](*arguments))
        elif name == 'BINPERSID':
            if not isinstance(stack[-1], tuple):
                raise UnreadableFile('is damaged: a storage without a description')
            stack.append(make_storage(*stack.pop()))
        elif name == 'BUILD':  # a state_dict's _metadata: versions of its modules
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise UnreadableFile('sets the state of an object, which weights do not have; nothing in it was run')
        elif name == 'STOP':
            return stack.pop()
        elif name not in ('PROTO', 'FRAME'):
            raise UnreadableFile(f'has an instruction ({name}) that weights do not need; nothing in it was run')
    raise UnreadableFile('is truncated')


def extend(target: Any, items: list[Any]) -> None:
    """Adds items to a list, or alternating keys and values to a dict."""
    if isinstance(target, list):
        target.extend(items)
    elif isinstance(target, dict):
        target.update(pairs(items))
    else:
        raise UnreadableFile(f'is damaged: it adds items to a {type(target).__name__}')


def pairs(items: list[Any]) -> dict[Any, Any]:
    """A dict of alternating keys and values; raises UnreadableFile for keys that no weights have."""
    for key in items[::2]:
        if type(key) not in (str, int, bool, float):
            raise UnreadableFile(f'is damaged: a {type(key).__name__} as a key')
    return dict(zip(items[::2], items[1::2], strict=True))


def text(value: Any, what: str) -> str:
    """The value, a str; raises UnreadableFile for anything else."""
    if not isinstance(value, str):
        raise UnreadableFile(f'is damaged: a {type(value).__name__} as {what}')
    return value


def whole(value: Any, what: str) -> int:
    """The value, an int from 0 to MAX_NUMBER; raises UnreadableFile for anything else."""
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise UnreadableFile(f'is damaged: {what} of a tensor is no number that it can be')
    return value


def allowed_global(name: str) -> GlobalName:
    """A name that occurs in files of weights; raises UnreadableFile for every other."""
    if name not in REPLACEMENTS and name not in STORAGES:
        raise UnreadableFile(f'holds {name[:MAX_SHOWN]}, and only dictionaries of weights are read; nothing in it was run')
    return GlobalName(name)


def make_storage(kind: str, dtype: GlobalName, key: str, location: str, numel: int, view: None = None) -> Storage:
    """The storage of a persistent id; its device is ignored."""
    if text(kind, 'the kind of a storage') != 'storage' or view is not None:
        raise UnreadableFile(f'refers to a {kind[:MAX_SHOWN]!r}, and only plain storages are read')
    if not isinstance(dtype, GlobalName) or dtype.name not in STORAGES:
        raise UnreadableFile('is damaged: a storage of no type of numbers')
    key = str(whole(key, 'the key')) if isinstance(key, int) else text(key, 'the key of a storage')
    return Storage(key, np.dtype(STORAGES[dtype.name]), whole(numel, 'the size'))


def make_tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor; raises UnreadableFile where it reaches beyond its storage."""
    if not isinstance(storage, Storage):
        raise UnreadableFile('is damaged: a tensor without numbers')
    for numbers in (shape, strides):
        if not isinstance(numbers, tuple | list) or len(numbers) > MAX_AXES or len(numbers) != len(shape):
            raise UnreadableFile('is damaged: a tensor of no shape')
    shape, strides = (tuple(whole(n, 'the shape') for n in numbers) for numbers in (shape, strides))
    count = math.prod(shape)
    last = whole(offset, 'the offset') + sum((n - 1) * stride for n, stride in zip(shape, strides))
    # a tensor with more elements than its storage is an expanded one, and may not fit into memory as an array
    if count and (last >= storage.numel or count > storage.numel):
        raise UnreadableFile(f'is damaged: a tensor of shape {shape} reaches beyond its {storage.numel} numbers')
    return Tensor(storage, offset, shape, strides)


def make_dict(items: list[Any] | None = None) -> dict[Any, Any]:
    """OrderedDict() or OrderedDict([[key, value], ...])."""
    if not isinstance(items, list | None) or not all(
        isinstance(item, list | tuple) and len(item) == 2 for item in items or []
    ):
        raise UnreadableFile('is damaged: a dictionary of no pairs')
    return pairs([part for item in items or [] for part in item])


REPLACEMENTS: dict[str, Callable[..., Any]] = {  # called instead of the functions that a file of weights names
    'collections.OrderedDict': make_dict,
    'torch._utils._rebuild_tensor': make_tensor,
    'torch._utils._rebuild_tensor_v2': make_tensor,
    'torch._utils._rebuild_parameter': lambda tensor, *_: tensor,
}


def map_tensors(function: Callable[[Tensor], Any], tree: Any, budget: Iterator[int] | None = None) -> Any:
    """A copy of nested dicts, lists and tuples with function(tensor) for each tensor; tuples become lists.

    Raises UnreadableFile at more than MAX_ITEMS items (`budget` counts them), which a tree that contains itself has, too.
    """
    budget = budget or iter(range(MAX_ITEMS))
    if next(budget, None) is None:
        raise UnreadableFile(f'has more than {MAX_ITEMS} items, or contains itself')
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: map_tensors(function, value, budget) for key, value in tree.items()}
    if isinstance(tree, list | tuple) and not isinstance(tree, Storage | GlobalName):
        return [map_tensors(function, value, budget) for value in tree]
    return tree
