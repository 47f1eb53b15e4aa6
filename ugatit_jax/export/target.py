"""What every format is given, and what it gives back."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ugatit_jax.models.generator import Generator

Run = Callable[[np.ndarray], np.ndarray]  # float32 images [B, h, w, C] in [-1, 1] -> the same, translated


class Target(NamedTuple):
    """One generator, and the form that it is to have."""

    generator: Generator  # computes in float32
    params: dict[str, Any]  # numpy
    channels: int  # of the input
    batch: int | None  # images at once; None for any number
    size: int | None  # side of the squares that it takes; None for any sides that the generator takes
    image_size: int  # of training
    dtype: str  # 'float32', 'float16' or 'int8'
    notes: dict[str, str]  # about the model, for formats that keep them
