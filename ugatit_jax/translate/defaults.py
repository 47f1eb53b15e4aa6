"""Defaults of `load` and of the commands that translate: without JAX, so that --help is quick."""

from ugatit_jax.models.names import DIRECTIONS as UPPER_CASE_DIRECTIONS

DIRECTIONS = tuple(direction.lower() for direction in UPPER_CASE_DIRECTIONS)  # as flags and `load` have them
DEFAULT_TILE = 512  # images up to 1024 x 1024 go untiled: at ch 64 a full-size map takes 256 MB, in float32
DEFAULT_BATCH_SIZE = 8  # on accelerators, as evaluation.batch_size: no image's result depends on it
FACE_MODES = ('paste', 'crops')  # of --faces
