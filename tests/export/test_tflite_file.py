"""A .tflite file gives the images of JAX, in each of its types."""

import os

import numpy as np
import pytest

from tests.helpers.image_files import smooth
from tests.helpers.random_generator import random_generator
from ugatit_jax.export import tflite_file
from ugatit_jax.export.target import Target


@pytest.fixture(scope='module')
def made():
    return random_generator()


@pytest.mark.parametrize('dtype, bound', [('float32', 1e-4), ('float16', 0.05), ('int8', 1.5)])
def test_every_type_gives_the_images_of_jax(made, dtype, bound, tmp_path):
    path = f'{tmp_path}/x.tflite'
    calibration = np.concatenate([np.stack([smooth(32, 32, seed) for seed in range(4)]), np.uint8(made.images * 127 + 127)])
    tflite_file.write(Target(made.module, made.params, 3, 1, 32, 32, dtype, {}), path, calibration)
    differences = np.abs(np.stack([tflite_file.load(path)(image[None])[0] for image in made.images]) - made.translated)
    assert differences.max() < bound and differences.mean() < bound / 5
    assert tflite_file.signature(path) == '[1, 32, 32, 3] -> [1, 32, 32, 3], float32 in [-1, 1]'
    if dtype == 'int8':  # or nothing was quantised
        types = [details['dtype'] for details in tflite_file.interpreter(path).get_tensor_details()]
        assert differences.max() > 1e-3 and types.count(np.int8) > len(types) / 3


def test_float16_files_are_smaller_and_batches_work(tmp_path):
    made, sizes = random_generator(model__mlp_width=300), {}  # weights that outweigh the graph
    for dtype in ('float32', 'float16'):
        tflite_file.write(Target(made.module, made.params, 3, 2, 32, 32, dtype, {}), f'{tmp_path}/{dtype}', None)
        sizes[dtype] = os.path.getsize(f'{tmp_path}/{dtype}')
    assert sizes['float16'] < 0.8 * sizes['float32']
    both = tflite_file.load(f'{tmp_path}/float32')(made.images)
    np.testing.assert_allclose(both, made.translated, atol=1e-4)
