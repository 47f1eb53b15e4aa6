"""The random weights of EfficientNet-Lite0 that its golden was made with; without JAX, for a Python that has torch."""

import pathlib

import numpy as np

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden_data' / 'effnet' / 'effnet.npz'


def random_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Scaled convolutions and random batch norm statistics for the given shapes, by torch's names.

    With torch's own initialisation all features would be nearly 0, and any comparison of them would pass.
    """
    random, weights = np.random.RandomState(0), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith('running_var'):
            value = random.uniform(0.5, 1.5, shape)
        elif '_bn' in name:
            value = random.uniform(0.6, 1.4, shape) if name.endswith('weight') else random.standard_normal(shape) * 0.2
        else:
            value = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        weights[name] = value.astype(np.float32)
    return weights


def images() -> np.ndarray:
    """3 images of 8x8 squares of random colours, uint8 [3, 40, 56, 3]: sides that stride 2 halves unevenly."""
    small = np.random.RandomState(1).randint(0, 256, (3, 5, 7, 3)).astype(np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)
