"""What --input names: files, folders with everything under them, patterns; and the reading of one image."""

import glob
import os
import stat

import numpy as np

from ugatit_jax.data.decode import DecodeError, decode
from ugatit_jax.data.sources.folder import list_folder
from ugatit_jax.errors import UserError, printable


def find_inputs(given: list[str], output: str) -> list[tuple[str, str]]:
    """(path, name to keep) of all images and videos, each once, in the order of their names; raises UserError.

    Of folders and patterns the part below them is kept as the name; files that are no images by their names (.txt,
    Thumbs.db ...) are left out of folders, and so is `output` where it lies in one.
    """
    found: dict[str, str] = {}
    for text in given:
        if os.path.isdir(text) and os.path.realpath(text) == os.path.realpath(output):
            raise UserError(printable(f'--output={output} is the input folder; results have to go elsewhere'))
        inputs = find_one(text)
        if not inputs:
            raise UserError(printable(f'--input={text}: there are no images'))
        for path, name in inputs:
            if not is_within(path, output) or os.path.isfile(text):
                found.setdefault(path, name)
    if not found:
        raise UserError(printable(f'--input={" ".join(given)}: there are no images but the results in --output={output}'))
    return list(found.items())


def find_one(text: str) -> list[tuple[str, str]]:
    """The inputs of one --input."""
    if os.path.isdir(text):
        return [(os.path.join(text, key), key) for key, _ in list_folder(text)]
    if os.path.lexists(text):
        return [(text, os.path.basename(text))]
    if not glob.has_magic(text):
        raise UserError(printable(f'--input={text}: there is no such file or folder'))
    fixed = text[: min(text.index(c) for c in '*?[' if c in text)]
    base = os.path.dirname(fixed)
    paths = sorted(path for path in glob.glob(text, recursive=True) if not os.path.isdir(path))
    return [(path, os.path.relpath(path, base or '.')) for path in paths]


def is_within(path: str, folder: str) -> bool:
    """Whether `path` lies below `folder`."""
    return os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ''))


def read_image(path: str, channels: int, background: tuple[int, int, int]) -> np.ndarray:
    """An image as uint8 [H, W, channels], upright and in sRGB where its profile says another; raises DecodeError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DecodeError('no file')  # opening a pipe would wait for ever
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        raise DecodeError(f'cannot be read: {error.strerror or error}') from error
    return decode(data, channels, background, to_srgb=True)
