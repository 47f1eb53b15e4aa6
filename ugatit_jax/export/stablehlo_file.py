"""Writes .stablehlo files, one program for CPUs, GPUs and TPUs, and runs them with jax alone."""

import pathlib

import jax
import numpy as np
from jax import export

from ugatit_jax.common.compiler import portable
from ugatit_jax.export.portable_generator import portable_generator
from ugatit_jax.export.target import Run, Target
from ugatit_jax.models.generator import MIN_MAP

PLATFORMS = ('cpu', 'cuda', 'tpu')


def write(target: Target, path: str, calibration: np.ndarray | None) -> None:
    """Writes the file: what `jax.export.deserialize` reads. float16 is the weights'; it computes in float32."""
    del calibration
    multiple = target.generator.side_multiple
    batch = 'batch' if target.batch is None else target.batch
    sides = [f'{multiple}*{side}' if target.size is None else target.size for side in ('h', 'w')]
    constraints = [f'{side} >= {MIN_MAP}' for side in ('h', 'w')] if target.size is None else []
    shape = export.symbolic_shape(f'{batch}, {sides[0]}, {sides[1]}, {target.channels}', constraints=constraints)
    function = jax.jit(portable_generator(target, target.dtype))
    with portable():
        exported = export.export(function, platforms=PLATFORMS)(jax.ShapeDtypeStruct(shape, np.float32))
    pathlib.Path(path).write_bytes(exported.serialize())


def load(path: str) -> Run:
    """The file as a function of images [B, h, w, C]."""
    exported = export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
    return lambda images: np.asarray(exported.call(images))


def signature(path: str) -> str:
    """Input and output in words."""
    exported = export.deserialize(bytearray(pathlib.Path(path).read_bytes()))
    shapes = [', '.join(map(str, aval.shape)) for aval in (exported.in_avals[0], exported.out_avals[0])]
    return f'[{shapes[0]}] -> [{shapes[1]}], float32 in [-1, 1], for {", ".join(exported.platforms)}'
