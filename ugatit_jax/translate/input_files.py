"""Finds the files that --input names (files, folders with everything below them, patterns), and reads one image."""

import glob
import os
import stat

import numpy as np

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import is_within
from ugatit_jax.data.decode import DecodeError, count_frames, decode
from ugatit_jax.data.sources.folder import list_folder


def find_inputs(patterns: list[str], output: str) -> list[tuple[str, str]]:
    """(path, name to keep) of all images and videos, each once, sorted by name within each input; raises UserError.

    The name is the path below the folder, or below the part of the pattern without wildcards. Folders leave out notes and
    junk by their names (.txt, Thumbs.db ...); folders and patterns leave out what lies in `output`.
    """
    found: dict[str, str] = {}
    for pattern in patterns:
        if os.path.isdir(pattern) and os.path.realpath(pattern) == os.path.realpath(output):
            raise UserError(f'--output={output} is the input folder; results have to go elsewhere')
        inputs = expand(pattern)
        if not inputs:
            raise UserError(f'--input={pattern}: there are no images')
        for path, name in inputs:
            if not is_within(path, output) or os.path.isfile(pattern):
                found.setdefault(path, name)
    if not found:
        raise UserError(f'--input={" ".join(patterns)}: there are no images but the results in --output={output}')
    return list(found.items())


def expand(pattern: str, flag: str = '--input') -> list[tuple[str, str]]:
    """(path, name to keep) of everything that one file, folder or pattern names; raises UserError where there is none."""
    if os.path.isdir(pattern):
        return [(os.path.join(pattern, key), key) for key, _ in list_folder(pattern)]
    if os.path.lexists(pattern):
        return [(pattern, os.path.basename(pattern))]
    if not glob.has_magic(pattern):
        raise UserError(f'{flag}={pattern}: there is no such file or folder')
    literal = pattern[: min(pattern.index(c) for c in '*?[' if c in pattern)]
    base = os.path.dirname(literal)
    paths = sorted(path for path in glob.glob(pattern, recursive=True) if not os.path.isdir(path))
    return [(path, os.path.relpath(path, base or '.')) for path in paths]


def read_image(path: str, channels: int, background: tuple[int, int, int]) -> np.ndarray:
    """An image as uint8 [H, W, channels], upright, converted to sRGB by its colour profile; raises DecodeError."""
    return decode(read_file(path), channels, background, to_srgb=True)


def read_first_frame(path: str, channels: int, background: tuple[int, int, int]) -> tuple[np.ndarray, int]:
    """`read_image`, and how many frames or pages the file has, of which it is the first."""
    data = read_file(path)
    return decode(data, channels, background, to_srgb=True), count_frames(data)


def read_file(path: str) -> bytes:
    """The content of a regular file; raises DecodeError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DecodeError('not a regular file')  # opening a named pipe would block
        with open(path, 'rb') as file:
            return file.read()
    except OSError as error:
        raise DecodeError(f'cannot be read: {error.strerror or error}') from error
