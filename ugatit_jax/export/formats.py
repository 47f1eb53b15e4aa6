"""The kinds of files that are written for other programs, by their suffixes: imports nothing of what writes them."""

import os
from typing import NamedTuple

from ugatit_jax.common.errors import UserError

DTYPES = ('float32', 'float16')  # of a folder of generators, and of a page


class Format(NamedTuple):
    """A kind of file: module with `write`, `load` and `signature`, what it needs, and what it can be."""

    module: str
    packages: tuple[str, ...]  # modules of the extra
    extra: str
    dtypes: tuple[str, ...]
    dynamic: bool  # whether batch and size may be any


FORMATS = {
    '.onnx': Format('onnx_file', ('onnx', 'onnxruntime'), 'onnx', ('float32', 'float16', 'int8'), True),
    '.stablehlo': Format('stablehlo_file', ('flatbuffers',), 'stablehlo', ('float32', 'float16'), True),
    '.tflite': Format('tflite_file', ('tensorflow', 'ai_edge_litert'), 'tflite', ('float32', 'float16', 'int8'), False),
}


def suffix_of(to: str) -> str:
    """The suffix of --to that names a format, '' for a folder; raises UserError for that of an unknown kind of file."""
    suffix = os.path.splitext(to)[1].lower()
    if suffix in FORMATS:
        return suffix
    if suffix[1:2].isalpha() and not to.endswith('/'):  # 'models/v1.2' is a folder
        raise UserError(f'--to={to}: the suffix {suffix} is none of {", ".join(FORMATS)}; a folder has none')
    return ''
