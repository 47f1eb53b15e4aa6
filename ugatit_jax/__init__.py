"""U-GAT-IT in JAX: unpaired image-to-image translation with CAM attention and AdaLIN.

translator = ugatit_jax.load('runs/mine', direction='a2b')
fakes = translator(images)      # uint8 [n, h, w, 3] -> uint8 [n, h, w, 3]
"""

import os
from typing import TYPE_CHECKING

# etils reads gs:// by fsspec, and not by TensorFlow: needed for no bucket then, as Orbax needs none. Before its first path
os.environ.setdefault('EPATH_USE_TF', '0')

if TYPE_CHECKING:
    from ugatit_jax.translate.translator import load as load

__version__ = '0.1.0'


def __getattr__(name: str) -> object:
    """`load` when it is first asked for: importing the package stays quick."""
    if name == 'load':
        from ugatit_jax.translate.translator import load

        return load
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
