"""Cuts reference files down to what is committed here: python tests/golden_data/reduce.py REFERENCE_DIR

pytorch_light keeps its start, inputs, losses and forwards, and of gradients and last parameters the arrays below 600
numbers; tensorflow_light keeps the first example of its forward, without the losses.
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
LARGEST = 600


def pytorch(name: str, value: np.ndarray) -> np.ndarray | None:
    """What is kept of an array of pytorch_light."""
    whole = name.startswith(('init/', 'input/', 'meta')) or '/loss/' in name or name.startswith('eval/dis')
    return value if whole or value.size < LARGEST else None


def tensorflow(name: str, value: np.ndarray) -> np.ndarray | None:
    """What is kept of an array of tensorflow_light."""
    if name.startswith(('loss', 'fwd_u_after')) or name == 'fwd/generator_A/out':
        return None
    return value[:1] if name.startswith(('input/', 'fwd/')) else value


if __name__ == '__main__':
    for keep, stem in ((pytorch, 'pytorch_light'), (tensorflow, 'tensorflow_light')):
        with np.load(pathlib.Path(sys.argv[1]) / f'{stem}.npz') as file:
            kept = {name: value for name in file.files if (value := keep(name, file[name])) is not None}
        np.savez_compressed(HERE / f'{stem}.npz', **kept)
