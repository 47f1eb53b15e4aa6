"""The random weights of InceptionV3 and the images that the goldens were made with."""

import pathlib

import numpy as np
from PIL import Image

from ugatit_jax.evaluate.inception import CLASSES, FEATURES, kernel_shapes

GOLDEN = pathlib.Path(__file__).parents[1] / 'golden_data' / 'inception'
SUBSETS, SUBSET_SIZE = 10, 8


def state_dict() -> dict[str, np.ndarray]:
    """He-scaled convolutions and random batch norm statistics, as torch names them.

    With torch's own initialisation all features would be nearly 0, and any comparison of them would pass.
    """
    shapes = {'fc.weight': (CLASSES, FEATURES), 'fc.bias': (CLASSES,)}
    for name, shape in kernel_shapes().items():
        shapes[f'{name}.conv.weight'] = shape
        shapes |= {f'{name}.bn.{part}': shape[:1] for part in ('weight', 'bias', 'running_mean', 'running_var')}
    random, weights = np.random.RandomState(0), {}
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith('conv.weight'):
            value = random.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith('bn.weight'):
            value = random.uniform(0.6, 1.4, shape)
        elif name.endswith('running_var'):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.standard_normal(shape) * (0.02 if name == 'fc.weight' else 0.2)
        weights[name] = value.astype(np.float32)
    return weights


def random_squares(domain: str) -> list[np.ndarray]:
    """12 images of 8x8 squares of random colours, uint8 [48, 56, 3], darker in A; the same with every version of Pillow."""
    side, brightest = 8, {'A': 200, 'B': 256}[domain]
    random = np.random.RandomState('AB'.index(domain))
    small = random.randint(0, brightest, (12, 48 // side, 56 // side, 3)).astype(np.uint8)
    return list(small.repeat(side, axis=1).repeat(side, axis=2))


def write_folder(path: pathlib.Path, domain: str) -> pathlib.Path:
    """Writes random_squares(domain) as PNG files."""
    path.mkdir()
    for i, pixels in enumerate(random_squares(domain)):
        Image.fromarray(pixels).save(path / f'{i:02d}.png')
    return path
