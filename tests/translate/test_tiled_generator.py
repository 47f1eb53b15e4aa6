"""Tiles give the result of the whole image."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import default
from tests.helpers.translation import noise_image
from ugatit_jax.common.images import normalize
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.tiled_generator import SUPPORTED_FIELDS, TiledGenerator, unsupported_reason


def generator_and_weights(**model):
    config = default.get_config()
    config.data.image_size, config.model.ch, config.model.n_res = 96, 2, 1
    if not model.get('generator_cam', True):
        config.loss.cam_weight = 0.0
    for name, value in model.items():
        config.model[name] = value
    generator = make_networks(resolve(config)).genA2B
    shapes = jax.eval_shape(generator.init, jax.random.key(0), np.zeros((1, 96, 96, 3), np.float32))['params']
    rng = np.random.default_rng(0)
    return generator, jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)


@pytest.mark.parametrize(
    'model, size',
    [
        (dict(reference='paper'), (56, 92)),
        (dict(reference='pytorch', mlp_pool='3', n_res=2, stem_norm=False), (16, 68)),
        (dict(separable=True, n_down=3, stem_kernel=3, generator_cam=False), (72, 88)),
        (dict(separable=True, n_down=1, pixel_unshuffle=2, image_skip=True, stem_kernel=3, generator_cam=False), (72, 88)),
    ],
)
def test_tiled_equals_untiled(model, size):
    """With an odd number of small columns; and with images lower than a tile."""
    generator, params = generator_and_weights(**model)
    x = normalize(noise_image(*size))
    whole = jax.jit(generator.apply)({'params': params}, x[None])
    tiled = TiledGenerator(generator, params, 32)
    image, heatmap = tiled(x)
    assert np.std(image) > 0.05 and tiled.progress.done == tiled.progress.total > 20
    np.testing.assert_allclose(image, whole.image[0], atol=1e-4)
    if not generator.use_cam:
        assert heatmap is None
        return
    np.testing.assert_allclose(heatmap, whole.heatmap[0], atol=1e-5 * np.max(whole.heatmap))


def test_uint8_in_and_out():
    generator, params = generator_and_weights(reference='paper')
    x = noise_image(56, 92)  # the size of the test above, whose programs serve again
    image, _ = TiledGenerator(generator, params, 32)(x)
    unit, _ = TiledGenerator(generator, params, 32)(normalize(x))
    assert image.dtype == np.uint8 and abs(image - (unit + 1) * 127.5).max() <= 0.51


def test_unsupported_generators_are_refused():
    full, _ = generator_and_weights(mlp_pool='full')
    assert 'one size' in unsupported_reason(full)
    with pytest.raises(ValueError, match='one size'):
        TiledGenerator(full, {}, 32)
    light, _ = generator_and_weights()
    assert not unsupported_reason(light)
    assert {field.name for field in dataclasses.fields(light)} >= SUPPORTED_FIELDS

    @dataclasses.dataclass
    class Other:
        mlp_pool: int = 1
        unheard_of: str = 'as ever'

    assert not unsupported_reason(Other())
    assert 'unheard_of' in unsupported_reason(Other(unheard_of='new'))
