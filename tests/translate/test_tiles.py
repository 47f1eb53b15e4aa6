"""Tiles give the numbers of the whole image."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import default
from tests.helpers.translation import noise_image
from ugatit_jax.config.resolve import resolve
from ugatit_jax.images import normalize
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.tiles import KNOWN_FIELDS, Layer, TiledGenerator, cover, unsupported


def generator_and_weights(**model):
    config = default.get_config()
    config.data.image_size, config.model.ch, config.model.n_res = 96, 2, 1
    for name, value in model.items():
        config.model[name] = value
    generator = make_networks(resolve(config)).genA2B
    shapes = jax.eval_shape(generator.init, jax.random.key(0), np.zeros((1, 96, 96, 3), np.float32))['params']
    rng = np.random.default_rng(0)
    return generator, jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    'model, size', [(dict(reference='paper'), (56, 92)), (dict(reference='pytorch', mlp_pool='3', n_res=2), (16, 68))]
)
def test_tiled_equals_untiled(model, size):
    """With an odd number of small columns; and with images lower than a tile."""
    generator, params = generator_and_weights(**model)
    x = normalize(noise_image(*size))
    whole = jax.jit(generator.apply)({'params': params}, x[None])
    image, heatmap = TiledGenerator(generator, params, 32)(x)
    assert np.std(image) > 0.05
    np.testing.assert_allclose(image, whole.image[0], atol=1e-4)
    np.testing.assert_allclose(heatmap, whole.heatmap[0], atol=1e-5 * np.max(whole.heatmap))


def test_uint8_in_and_out():
    generator, params = generator_and_weights(reference='paper')
    x = noise_image(56, 92)  # the size of the test above, whose programs serve again
    image, _ = TiledGenerator(generator, params, 32)(x)
    unit, _ = TiledGenerator(generator, params, 32)(normalize(x))
    assert image.dtype == np.uint8 and abs(image - (unit + 1) * 127.5).max() <= 0.51


@pytest.mark.parametrize('size, tile', [(10, 4), (12, 4), (3, 8), (9, 8)])
def test_every_row_is_new_once(size, tile):
    counts = np.zeros(size)
    for start, length, new in cover(size, tile):
        assert length == min(tile, size)
        counts[start : start + length] += new
    assert (counts == 1).all()


@pytest.mark.parametrize('layer', [Layer(None, 7, padding=3), Layer(None, 3, 2, 1), Layer(None, 3, padding=1)])
@pytest.mark.parametrize('size', [20, 22])
def test_windows_hold_what_a_reflected_image_would(layer, size):
    rows = np.arange(size)
    padded = np.pad(rows, layer.kernel_size, 'reflect')
    length = 4
    for start in range(0, layer.output_size(size) - length + 1):
        begin, window, index = layer.source(start, length, size)
        assert begin >= 0 and begin + window <= size and begin % 2 == 0
        first = start * layer.stride - layer.padding + layer.kernel_size
        np.testing.assert_array_equal(rows[begin : begin + window][index], padded[first : first + len(index)])


def test_generators_that_tiles_do_not_know_are_refused():
    full, _ = generator_and_weights(mlp_pool='full')
    assert 'one size' in unsupported(full)
    with pytest.raises(ValueError, match='one size'):
        TiledGenerator(full, {}, 32)
    light, _ = generator_and_weights()
    assert not unsupported(light)
    assert {field.name for field in dataclasses.fields(light)} >= KNOWN_FIELDS

    @dataclasses.dataclass
    class Other:
        mlp_pool: int = 1
        unheard_of: str = 'as ever'

    assert not unsupported(Other())
    assert 'unheard_of' in unsupported(Other(unheard_of='new'))
