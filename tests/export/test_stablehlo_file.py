"""A .stablehlo file: one program for every kind of device, any sizes, the images of JAX."""

import os

import jax
import numpy as np
import pytest
from jax import export

from tests.helpers.random_generator import RandomGenerator, random_generator, run
from ugatit_jax.common import compiler
from ugatit_jax.export import stablehlo_file
from ugatit_jax.export.target import Target


def written(made: RandomGenerator, path: str, size: int | None = None, dtype: str = 'float32') -> export.Exported:
    """The file of a generator, read back as its users do, with jax alone."""
    channels = made.images.shape[-1]
    stablehlo_file.write(Target(made.module, made.params, channels, None, size, 32, dtype, {}), path, None)
    with open(path, 'rb') as file:
        return export.deserialize(bytearray(file.read()))


@pytest.mark.parametrize(
    'fields',
    [
        dict(model__n_res=2),
        dict(model__reference='pytorch', model__mlp_pool='3'),  # cells of two sizes; variances divided by n - 1
        dict(model__decoder_norm='gn', model__up_norm='gn', model__norm_groups=2),
    ],
    ids=['paper', 'pooled', 'GN'],
)
def test_any_size_gives_the_images_of_jax(fields, tmp_path):
    made = random_generator(**fields)
    exported = written(made, f'{tmp_path}/x')
    assert exported.platforms == ('cpu', 'cuda', 'tpu')
    np.testing.assert_allclose(exported.call(made.images), made.translated, atol=1e-4)
    other = np.pad(made.images[:1], ((0, 0), (0, 8), (0, 20), (0, 0)), 'reflect')
    np.testing.assert_allclose(exported.call(other), run(made.module, made.params, other), atol=1e-4)
    with pytest.raises(ValueError):
        exported.call(other[:, :, :50])  # no multiple of 4


def test_full_models_have_their_size(tmp_path):
    made = random_generator(model__mlp_pool='full')
    exported = written(made, f'{tmp_path}/x', 32)
    np.testing.assert_allclose(exported.call(made.images), made.translated, atol=1e-4)
    assert stablehlo_file.signature(f'{tmp_path}/x').startswith('[batch, 32, 32, 3] -> [batch, 32, 32, 3], float32')


def test_float16_halves_the_weights(tmp_path):
    made = random_generator(model__mlp_width=200)
    exported = {dtype: written(made, f'{tmp_path}/{dtype}', dtype=dtype) for dtype in ('float32', 'float16')}
    saved = os.path.getsize(f'{tmp_path}/float32') - os.path.getsize(f'{tmp_path}/float16')
    assert saved > 1.8 * sum(leaf.size for leaf in jax.tree.leaves(made.params))
    difference = np.abs(exported['float16'].call(made.images) - made.translated).max()
    assert 1e-5 < difference < 0.05


def test_nothing_of_this_machine_is_in_it(as_on, tmp_path):
    """The same program wherever it is exported, and stock convolutions: of CPUs they are products, of TPUs some are."""
    made = random_generator()
    programs = {}
    for kind in ('cpu', 'gpu', 'tpu'):
        as_on(kind)
        programs[kind] = written(made, f'{tmp_path}/{kind}').mlir_module()
        assert compiler.backend() == kind  # as before
    assert programs['cpu'] == programs['gpu'] == programs['tpu']
    # stem, two down, two in each of two blocks, two up, head; JAX writes each down once for each kind of device
    assert programs['cpu'].count('stablehlo.convolution(') == 3 * 10
    assert 'optimization_barrier' not in programs['cpu'] and 'stablehlo.while' not in programs['cpu']


def test_portable_ends_with_an_error_too():
    with pytest.raises(KeyError), compiler.portable():
        assert (compiler.on_cpu(), compiler.on_gpu(), compiler.on_tpu(), compiler.single_cpu_device()) == (False,) * 4
        raise KeyError
    assert compiler.on_cpu()
