"""Files of torch.save are read without torch, and nothing in them is run."""

import os
import pathlib
import pickle
import random
import resource
import time
import zipfile

import ml_dtypes
import numpy as np
import pytest

from tests.helpers.torch_writer import View, write_legacy, write_zip
from ugatit_jax.checkpoint import torch_file, torch_pickle
from ugatit_jax.common.errors import UserError

FORMS = {'zip': write_zip, 'legacy': write_legacy}


def tree() -> dict:
    rng = np.random.default_rng(0)
    return {
        'net': {'weight': rng.normal(size=(3, 2, 4)).astype(np.float32), 'scalar': np.array(3.5)},
        'other': {
            'half': np.arange(5, dtype=np.float16),
            'bf16': np.arange(6).astype(ml_dtypes.bfloat16).reshape(2, 3),
            'steps': np.array([2**40, -1]),
            'flag': np.array([True, False]),
        },
        'epoch': 7,
        'name': 'x',
    }


def equal(a, b) -> None:
    if isinstance(b, dict):
        assert a.keys() == b.keys()
        for key in b:
            equal(a[key], b[key])
    elif isinstance(b, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def refused(path: pathlib.Path) -> str:
    with pytest.raises(UserError) as error:
        torch_file.load(str(path))
    message = str(error.value)
    assert str(path) in message and '\n' not in message
    return message


@pytest.fixture(params=FORMS)
def write(request):
    return FORMS[request.param]


def test_reads_what_was_written(write, tmp_path):
    write(tmp_path / 'x.pt', tree())
    equal(torch_file.load(str(tmp_path / 'x.pt')), tree())


def test_views_of_a_shared_storage(write, tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    write(
        tmp_path / 'x.pt',
        {
            'transposed': View('0', numbers, 0, (4, 3), (1, 4)),
            'tail': View('0', numbers, 8, (4,), (1,)),
            'none': View('0', numbers, 0, (0, 3), (3, 1)),
        },
    )
    read = torch_file.load(str(tmp_path / 'x.pt'))
    equal(read, {'transposed': numbers.reshape(3, 4).T, 'tail': numbers[8:], 'none': numbers[:0].reshape(0, 3)})


@pytest.mark.parametrize('form', FORMS)
def test_reads_what_torch_wrote(form, tmp_path):
    torch = pytest.importorskip('torch')
    weights = torch.nn.Linear(3, 4).state_dict()
    written = {
        'linear': weights,
        'parameter': torch.nn.Parameter(torch.randn(2, 2)),
        'transposed': torch.randn(3, 5).t(),
        'half': torch.randn(4).half(),
        'long': torch.arange(3),
    }
    torch.save(written, tmp_path / 'x.pt', _use_new_zipfile_serialization=form == 'zip')
    expected = {name: value.detach().numpy() for name, value in written.items() if name != 'linear'}
    expected['linear'] = {name: value.numpy() for name, value in weights.items()}
    equal(torch_file.load(str(tmp_path / 'x.pt')), expected)


class Attack:
    """Makes the folder MARK wherever a pickle with it is run."""

    def __init__(self, mark: pathlib.Path):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def attacks(mark: pathlib.Path) -> dict[str, bytes]:
    name = str(mark).encode()
    return {
        **{f'protocol {n}': pickle.dumps({'genA2B': Attack(mark)}, n) for n in range(6)},
        'list of reductions': pickle.dumps([1, {'a': (Attack(mark),)}]),
        'INST': b"(S'" + name + b"'\nios\nmkdir\n.",
        'OBJ': b"(cos\nmkdir\nS'" + name + b"'\no.",
        'NEWOBJ': b"\x80\x02cos\nmkdir\nS'" + name + b"'\n\x85\x81.",
        'extension': b'\x80\x02\x82\x01.',
        'state of a name': b'ctorch._utils\n_rebuild_tensor_v2\n}b.',
        'name in an allowed module': b'ctorch._utils\n_import_dotted_name\n.',
        'dotted name': b'\x80\x04\x8c\x0bcollections\x8c\x0eabc.sys.module\x93.',
        'persistent id': b"(S'module'\nS'" + name + b"'\ntQ.",
    }


def test_the_attacks_are_real(tmp_path):
    pickle.loads(attacks(tmp_path / 'mark')['protocol 2'])
    assert (tmp_path / 'mark').is_dir()


@pytest.mark.parametrize('kind', attacks(pathlib.Path('x')))
@pytest.mark.parametrize('form', [*FORMS, 'plain', 'legacy magic'])
def test_nothing_in_a_file_is_run(kind, form, tmp_path):
    mark, path = tmp_path / 'mark', tmp_path / 'x.pt'
    pickled = attacks(mark)[kind]
    if form in FORMS:
        FORMS[form](path, pickled=pickled)
    else:
        path.write_bytes(pickled if form == 'plain' else b'\x80\x02' + pickled)
    message = refused(path)
    assert not mark.exists()
    if form in FORMS and kind.startswith(('protocol', 'list')):
        assert 'mkdir' in message and 'nothing in it was run' in message


@pytest.mark.parametrize(
    'view',
    [
        dict(offset=0, shape=(13,), strides=(1,)),
        dict(offset=10, shape=(3,), strides=(1,)),
        dict(offset=0, shape=(2, 2), strides=(11, 1)),
        dict(offset=0, shape=(10**9, 10**9), strides=(0, 0)),
        dict(offset=-4, shape=(3,), strides=(1,)),
        dict(offset=11, shape=(3,), strides=(-1,)),
        dict(offset=0, shape=(20,), strides=(1,), numel=20),
    ],
)
def test_a_tensor_beyond_its_storage(write, view, tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    # a right one before, so that the storage is known already
    write(tmp_path / 'x.pt', {'good': View('0', numbers, 0, (12,), (1,)), 'bad': View('0', numbers, **view)})
    assert 'damaged' in refused(tmp_path / 'x.pt')


def test_small_pickles_of_huge_trees(write, tmp_path):
    doubling = b'\x80\x02]q\x00' + b''.join(b'](h%ch%ceq%c' % (i, i, i + 1) for i in range(40)) + b'.'
    write(tmp_path / 'x.pt', pickled=doubling)
    assert 'more than' in refused(tmp_path / 'x.pt')
    write(tmp_path / 'x.pt', pickled=b'\x80\x02]q\x00h\x00a.')
    refused(tmp_path / 'x.pt')


def shared_tuples(depth: int = 60) -> bytes:
    """Instructions that leave a tuple on the stack whose parts are shared: 2 ** depth of them for who walks through it."""
    return b')q\x00' + b''.join(b'h%c\x86q%c' % (i, i + 1) for i in range(depth))


STORAGE = b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ'
SHARED = {
    'key of a dict': b'}%sK\x01s.',
    'key in a list of items': b'}(%sK\x01u.',
    'key of DICT': b'(%sK\x01d.',
    'key of an OrderedDict': b'ccollections\nOrderedDict\n](%sK\x01\x86e\x85R.',
    'pair of an OrderedDict': b'ccollections\nOrderedDict\n](%se\x85R.',
    'items of an OrderedDict': b'ccollections\nOrderedDict\n%s\x85R.',
    'arguments': b'ctorch._utils\n_rebuild_tensor_v2\n%sR.',
    'function': b'%s)R.',
    'storage': b'ctorch._utils\n_rebuild_tensor_v2\n(%sK\x00)(ttR.',
    'offset': b'ctorch._utils\n_rebuild_tensor_v2\n(' + STORAGE + b'%s))tR.',
    'shape': b'ctorch._utils\n_rebuild_tensor_v2\n(' + STORAGE + b'K\x00%sK\x01\x85tR.',
    'strides': b'ctorch._utils\n_rebuild_tensor_v2\n(' + STORAGE + b'K\x00K\x01\x85%stR.',
    'axis': b'ctorch._utils\n_rebuild_tensor_v2\n(' + STORAGE + b'K\x00%s\x85K\x01\x85tR.',
    'persistent id': b'%sQ.',
    'kind of a storage': b'(%sctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ.',
    'type of a storage': b'(X\x07\x00\x00\x00storage%sX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ.',
    'key of a storage': b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\n%sX\x03\x00\x00\x00cpuK\x04tQ.',
    'size of a storage': b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu%stQ.',
    'view of a storage': b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04%stQ.',
    'module': b'\x80\x04%s\x8c\x01x\x93.',
    'attribute': b'\x80\x04\x8c\x01x%s\x93.',
    'target of items': b'%s(K\x01K\x02u.',
    'state': b'}%sb.',
    'value': b'%s.',
}


@pytest.mark.parametrize('where', SHARED)
def test_shared_tuples_anywhere_take_no_time(where, write, tmp_path):
    """Hashed, compared or printed, they would take longer than the universe is old."""
    write(tmp_path / 'x.pt', pickled=b'\x80\x02' + SHARED[where].replace(b'%s', shared_tuples()))
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if where == 'state':  # is dropped, whatever it is
        assert torch_file.load(str(tmp_path / 'x.pt')) == {}
    else:
        assert 'instruction' not in refused(tmp_path / 'x.pt')
    assert time.monotonic() - started < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


def test_shared_tuples_as_the_key_of_a_legacy_storage(tmp_path):
    magic = b'\x80\x02\x8a\x0a' + torch_file.LEGACY_MAGIC.to_bytes(10, 'little') + b'.'
    begin = magic + b'\x80\x02M\xe9\x03.' + b'\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.' + b'\x80\x02}.'
    (tmp_path / 'x.pt').write_bytes(begin + b'\x80\x02](' + shared_tuples() + b'e.')
    assert 'a tuple as the key of a storage' in refused(tmp_path / 'x.pt')


def test_deep_tuples_do_not_overflow_the_stack(write, tmp_path):
    """Hashing one of so many levels ends the process, not with an exception."""
    write(tmp_path / 'x.pt', pickled=b'\x80\x02})' + b'\x85' * 200_000 + b'K\x01s.')
    assert 'a tuple as a key' in refused(tmp_path / 'x.pt')
    write(tmp_path / 'x.pt', pickled=b'\x80\x02)' + b'\x85' * 200_000 + b'.')
    refused(tmp_path / 'x.pt')


def test_too_many_instructions(write, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, 'MAX_INSTRUCTIONS', 1000)
    write(tmp_path / 'x.pt', pickled=b'\x80\x02' + b'K\x01K\x02\x86' * 600 + b'.')
    assert 'more than 1000 instructions' in refused(tmp_path / 'x.pt')


def test_huge_numbers_are_neither_multiplied_nor_printed(write, tmp_path):
    huge = b'\x8b' + (10**6).to_bytes(4, 'little') + b'\x7f' * 10**6
    for where in ('offset', 'axis', 'size of a storage', 'key of a storage'):
        write(tmp_path / 'x.pt', pickled=b'\x80\x02' + SHARED[where].replace(b'%s', huge))
        assert len(refused(tmp_path / 'x.pt')) < 400


def test_records_that_overlap(tmp_path):
    """A zip of 1,000 names for the same bytes would be read as 1,000 arrays."""
    numbers = {f'a{i}': np.full(1000, i, np.float32) for i in range(20)}
    write_zip(tmp_path / 'x.pt', numbers)
    data = (tmp_path / 'x.pt').read_bytes()
    with zipfile.ZipFile(tmp_path / 'x.pt') as archive:
        first = archive.getinfo('archive/data/0').header_offset
        start = archive.start_dir
    out, position = bytearray(data[:first] + data[first : first + 100 + 4000]), start
    directory = bytearray()
    while data[position : position + 4] == b'PK\x01\x02':
        lengths = [int.from_bytes(data[position + at : position + at + 2], 'little') for at in (28, 30, 32)]
        entry = bytearray(data[position : position + 46 + sum(lengths)])
        if b'data/' in entry and b'data.pkl' not in entry:
            entry[42:46] = first.to_bytes(4, 'little')
        directory += entry
        position += 46 + sum(lengths)
    end = bytearray(data[position:])
    end[16:20] = len(out).to_bytes(4, 'little')
    (tmp_path / 'x.pt').write_bytes(out + directory + end)
    assert 'overlap' in refused(tmp_path / 'x.pt')


def test_truncated_anywhere(write, tmp_path):
    write(tmp_path / 'whole.pt', tree())
    whole = (tmp_path / 'whole.pt').read_bytes()
    for length in range(0, len(whole), 7):
        (tmp_path / 'x.pt').write_bytes(whole[:length])
        refused(tmp_path / 'x.pt')


def test_damaged_bytes_never_end_in_a_traceback(write, tmp_path):
    write(tmp_path / 'whole.pt', tree())
    whole = (tmp_path / 'whole.pt').read_bytes()
    rng, refusals = random.Random(0), 0
    for _ in range(600):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(whole))] = rng.randrange(256)
        (tmp_path / 'x.pt').write_bytes(damaged)
        try:
            torch_file.load(str(tmp_path / 'x.pt'))
        except UserError:
            refusals += 1
    assert refusals > 100


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'not a file of torch.save: it is empty; download'),
        (
            b'<!DOCTYPE html>\n<html lang="en">',
            "not a file of torch.save: it begins with b'<!DOCTYPE html>\\n<html la'; download",
        ),
        (pickle.dumps({'a': 1}), 'is a pickle, but not a file of torch.save'),
        (b'PK\x03\x04 and no more', 'truncated'),
    ],
)
def test_files_of_something_else(content, message, tmp_path):
    (tmp_path / 'x.pt').write_bytes(content)
    assert message in refused(tmp_path / 'x.pt')


def test_a_damaged_zip_is_not_quoted_at_length(tmp_path):
    """Of a name whose length is damaged, zipfile's message has up to 64 KB."""
    write_zip(tmp_path / 'x.pt', {'a': np.zeros(5000, np.float32)})
    data = bytearray((tmp_path / 'x.pt').read_bytes())
    data[26:28] = b'\xff\x3f'
    (tmp_path / 'x.pt').write_bytes(data)
    assert len(refused(tmp_path / 'x.pt')) < 500


def test_a_zip_of_something_else_and_a_missing_file(tmp_path):
    with zipfile.ZipFile(tmp_path / 'x.pt', 'w') as archive:
        archive.writestr('a.txt', 'hello')
    assert 'no data.pkl' in refused(tmp_path / 'x.pt')
    refused(tmp_path / 'nothing.pt')
