"""Damaged and made-up files for every reader of files that may come from others: make fuzz.

    python -m tests.fuzz --seconds=60               # for each target
    python -m tests.fuzz --seconds=600 torch_file   # one of them

Hypothesis edits whole files, and composes pickles of instructions. A reader has to return, or to raise its one-line error,
within SLOW seconds and MEMORY. Each target runs in a process of its own: a crash in a library ends that one, and its
file is kept. Exits with 1 where something was found. What is found becomes a regression test.
"""

import argparse
import contextlib
import io
import os
import pathlib
import pickletools
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from tests.helpers.image_files import encoded, make_folder, smooth
from tests.helpers.paths import ROOT
from tests.helpers.torch_writer import write_legacy, write_zip
from ugatit_jax.checkpoint import tensorflow_file, torch_file
from ugatit_jax.common.errors import UserError
from ugatit_jax.data import decode
from ugatit_jax.data.decode import DecodeError

SLOW = 10  # seconds that no small file may take
MEMORY = 4 * 2**30  # bytes of address space that one file may add
EXAMPLES = 500  # of one round of Hypothesis, which becomes slow with many
CASE = 'case'  # the file that was read last, in the target's folder

Edit = tuple[str, int, bytes]


class Target(NamedTuple):
    """What is fuzzed."""

    make: Callable[[pathlib.Path], None]  # writes whole files into a folder
    read: Callable[[pathlib.Path], object]  # reads one file, or the folder that it is in
    refusal: type[Exception]


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """`data` with some bytes flipped, replaced, inserted or removed; a position is a share of the length in 2^16."""
    for kind, position, new in edits:
        at = position * len(data) >> 16
        if kind == 'flip' and data and new:
            data = data[:at] + bytes([data[at] ^ (new[0] or 1)]) + data[at + 1 :]
        elif kind == 'replace':
            data = data[:at] + new + data[at + len(new) :]
        elif kind == 'insert':
            data = data[:at] + new + data[at:]
        elif kind == 'cut':
            data = data[:at]
        elif kind == 'remove':
            data = data[:at] + data[at + len(new) :]
        elif kind == 'repeat':
            data = data[:at] + data[at : at + 40] * 3 + data[at + 40 :]
    return data


NUMBERS = [n.to_bytes(size, order) for size in (2, 4, 8) for order in ('little', 'big') for n in (0, 1, 2 ** (8 * size) - 1)]
# most formats have their lengths and types at the beginning
POSITIONS = st.one_of(st.integers(0, 2**16 - 1), st.integers(0, 600), st.integers(2**16 - 3000, 2**16 - 1))
EDITS = st.lists(
    st.tuples(
        st.sampled_from(['flip', 'flip', 'replace', 'replace', 'insert', 'cut', 'remove', 'repeat']),
        POSITIONS,
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from(NUMBERS)),
    ),
    min_size=1,
    max_size=6,
)

# instructions of pickles, with short arguments; what files of weights have, more often
PARTS = st.one_of(
    st.sampled_from(
        [op.code.encode('latin-1') for op in pickletools.opcodes if op.arg is None]
        + [b')', b'}', b']', b'(', b't', b'R', b'Q', b'u', b's', b'a', b'e', b'b', b'\x85', b'\x86', b'\x87']
    ),
    st.builds(lambda op, n: op + bytes([n]), st.sampled_from([b'q', b'h', b'K', b'h']), st.integers(0, 9)),
    st.builds(lambda n: b'\x8a\x08' + n.to_bytes(8, 'little', signed=True), st.integers(-(2**63), 2**63 - 1)),
    st.builds(lambda text: b'X' + len(text).to_bytes(4, 'little') + text, st.sampled_from([b'storage', b'0', b'cpu', b'x'])),
    st.sampled_from(
        [
            b'ccollections\nOrderedDict\n',
            b'ctorch._utils\n_rebuild_tensor_v2\n',
            b'ctorch._utils\n_rebuild_parameter\n',
            b'ctorch\nFloatStorage\n',
            b'cos\nsystem\n',
            b'(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ',
        ]
    ),
)
PICKLES = st.lists(PARTS, min_size=1, max_size=60).map(lambda parts: b'\x80\x02' + b''.join(parts) + b'.')


def make_torch(folder: pathlib.Path) -> None:
    """Both forms of torch.save."""
    rng = np.random.default_rng(0)
    tree = {'net': {'w': rng.normal(size=(3, 2)).astype(np.float32), 'b': np.arange(4, dtype=np.float16)}, 'step': 7}
    write_zip(folder / 'zip.pt', tree)
    write_legacy(folder / 'legacy.pt', tree)


def make_tensorflow(folder: pathlib.Path) -> None:
    """An index and its data."""
    from tests.helpers.official_files import write_tensorflow

    rng = np.random.default_rng(0)
    write_tensorflow(
        folder / 'm-4',
        {f'net/{i}/kernel': rng.normal(size=(3, 4)).astype(np.float32) for i in range(5)} | {'p': np.float32(0.5)},
    )


def read_tensorflow(path: pathlib.Path) -> object:
    """All variables of the checkpoint that a file is of."""
    return tensorflow_file.load(str(path.parent / 'm-4'))


def make_prepared(folder: pathlib.Path) -> None:
    """Shards of two images of each domain."""
    from ugatit_jax.data import prepare

    with tempfile.TemporaryDirectory() as images, contextlib.redirect_stdout(io.StringIO()):  # TFDS prints
        make_folder(pathlib.Path(images), {'trainA': 2, 'trainB': 2}, side=8)
        prepare.prepare(f'folder:{images}', str(folder))


def read_prepared(path: pathlib.Path) -> object:
    """All images of both splits; single images may be damaged."""
    from ugatit_jax.data.sources.prepared import PreparedSource

    for split in ('trainA', 'trainB'):
        source = PreparedSource(str(path.parents[2]), split, 3)
        for i in range(len(source)):
            try:
                source.read(i)
            except DecodeError:
                pass
    return None


def make_images(folder: pathlib.Path) -> None:
    """An image of every format that this build writes, and of some variants."""
    pixels = smooth(12, 10)
    for name in decode.FORMATS:
        try:
            (folder / name).write_bytes(encoded(pixels, name))
        except (KeyError, OSError, ValueError):  # not in this build
            continue
    for name, options in {
        'TIFF': {'compression': 'tiff_lzw'},
        'JPEG': {'progressive': True},
        'WEBP': {'lossless': True},
    }.items():
        (folder / f'{name} 2').write_bytes(encoded(pixels, name, **options))
    for mode in ('1', 'L', 'P', 'RGBA', 'I;16', 'F', 'CMYK'):
        image = Image.fromarray(pixels[..., 0] if mode in ('I;16', 'F') else pixels).convert(mode)
        stream = io.BytesIO()
        image.save(stream, 'TIFF')
        (folder / f'TIFF {mode}').write_bytes(stream.getvalue())
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / 'JPEG exif').write_bytes(encoded(pixels, 'JPEG', exif=exif))
    stream = io.BytesIO()
    np.save(stream, pixels)
    (folder / 'npy').write_bytes(stream.getvalue())


def read_image(path: pathlib.Path) -> object:
    """The image as training and as translation read it."""
    data = path.read_bytes()
    for read in (decode.probe, decode.decode, lambda data: decode.decode(data, to_srgb=True, draft_side=4)):
        pixels = read(data)
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    return pixels


def make_model_folder(folder: pathlib.Path) -> None:
    """The generators of a tiny model."""
    import jax
    from ml_collections import FrozenConfigDict

    from tests.helpers.small import small_config
    from ugatit_jax.checkpoint.model_folder import write_model_folder
    from ugatit_jax.models.names import GENERATORS
    from ugatit_jax.models.networks import make_networks

    config = FrozenConfigDict(small_config())
    networks, x = make_networks(config), np.zeros((1, 32, 32, 3), np.float32)
    generators = {name: networks.module(name).init(jax.random.key(0), x)['params'] for name in GENERATORS}
    write_model_folder(folder, config, 3, 'raw', generators, 'float16')


def read_model_folder(path: pathlib.Path) -> object:
    """Both generators."""
    from etils import epath

    from ugatit_jax.checkpoint import model_folder

    found = model_folder.read_model_folder(epath.Path(path.parent))
    return [model_folder.read_generator(found, name) for name in found.generators]


TARGETS = {
    'torch_file': Target(make_torch, lambda path: torch_file.load(str(path)), UserError),
    'tensorflow_file': Target(make_tensorflow, read_tensorflow, UserError),
    'prepared': Target(make_prepared, read_prepared, UserError),
    'model_folder': Target(make_model_folder, read_model_folder, UserError),
    'images': Target(make_images, read_image, DecodeError),
}


def attempt(target: Target, path: pathlib.Path, data: bytes) -> None:
    """Reads `data` in place of a whole file; raises AssertionError for anything but a result or a refusal in one line."""
    whole = path.read_bytes() if path.exists() else None
    path.write_bytes(data)
    started = time.monotonic()
    try:
        target.read(path)
    except target.refusal as error:
        assert '\n' not in str(error) and len(str(error)) < 2000, f'not one line: {error!r:.300}'
    finally:
        path.unlink() if whole is None else path.write_bytes(whole)
    assert (took := time.monotonic() - started) < SLOW, f'{took:.0f} seconds'


def fuzz(name: str, folder: pathlib.Path, seconds: float, first: int) -> int:
    """Rounds of one target until its time is over; returns how many files were read."""
    target, count = TARGETS[name], 0
    target.make(folder)
    files = sorted(path for path in folder.rglob('*') if path.is_file())
    kept, end = folder.parent / CASE, time.monotonic() + seconds
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY, resource.RLIM_INFINITY))
    cases = st.tuples(st.sampled_from(range(len(files))), EDITS).map(
        lambda case: (files[case[0]], edited(files[case[0]].read_bytes(), case[1]))
    )
    if name == 'torch_file':
        cases = st.one_of(cases, st.tuples(st.sampled_from([write_zip, write_legacy]), PICKLES).map(written(folder)))

    def one(case: tuple[pathlib.Path, bytes]) -> None:
        nonlocal count
        if time.monotonic() > end:
            return
        count += 1
        path, data = case
        kept.write_bytes(data)
        kept.with_suffix('.name').write_text(str(path.relative_to(folder)))
        attempt(target, path, data)

    number = first
    while time.monotonic() < end:
        options = dict(max_examples=EXAMPLES, deadline=None, database=None, phases=(Phase.generate, Phase.shrink))
        seed(number)(settings(**options, suppress_health_check=list(HealthCheck))(given(cases)(one)))()
        number += 1
    return count


def written(folder: pathlib.Path) -> Callable[[tuple], tuple[pathlib.Path, bytes]]:
    """Makes a case of a writer and a pickle."""

    def make(case: tuple) -> tuple[pathlib.Path, bytes]:
        write, pickled = case
        stream = folder.parent / 'written'
        write(stream, pickled=pickled)
        return folder / 'pickle.pt', stream.read_bytes()

    return make


def address_space() -> int:
    """Bytes of address space that this process has."""
    return int(pathlib.Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()


def main() -> int:
    """Each target in a process of its own; returns 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('targets', nargs='*', choices=[[], *TARGETS], metavar='TARGET', help=f'of {", ".join(TARGETS)}')
    parser.add_argument('--seconds', type=float, default=60, help='for each target (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=None, help='of the first round; by default of the clock')
    parser.add_argument('--inside', help=argparse.SUPPRESS)
    options = parser.parse_args()
    first = int(time.time()) if options.seed is None else options.seed
    if options.inside:
        (folder := pathlib.Path(options.inside, 'files')).mkdir()
        print(f'{fuzz(options.targets[0], folder, options.seconds, first):,} files', flush=True)
        return 0
    found = 0
    for name in options.targets or TARGETS:
        place = tempfile.mkdtemp(prefix=f'fuzz-{name}-')
        print(f'{name}, seed {first}: ', end='', flush=True)
        flags = [name, f'--seconds={options.seconds}', f'--seed={first}', f'--inside={place}']
        done = subprocess.run(
            [sys.executable, '-m', 'tests.fuzz', *flags], cwd=ROOT, env=environment(), stderr=subprocess.PIPE
        )
        if done.returncode:
            found = 1
            print(f'exit code {done.returncode}; the file is {place}/{CASE}\n{done.stderr.decode(errors="replace")[-3000:]}')
        else:
            shutil.rmtree(place)
    return found


def environment() -> dict[str, str]:
    """On the CPU, and without the lines that TensorFlow logs."""
    return {**os.environ, 'JAX_PLATFORMS': 'cpu', 'TF_CPP_MIN_LOG_LEVEL': '3', 'TF_ENABLE_ONEDNN_OPTS': '0'}


if __name__ == '__main__':
    sys.exit(main())
