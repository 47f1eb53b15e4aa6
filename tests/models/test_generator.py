"""Generators of every size: shapes, channels, pools."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.small import small_config, small_generator
from ugatit_jax.models.generator import Dense, pool_to
from ugatit_jax.models.networks import make_networks


@pytest.mark.parametrize('reference', ['paper', 'pytorch'])
@pytest.mark.parametrize('pool, inputs', [('1', 16), ('2', 4 * 16), ('full', 64 * 16)])
def test_mlp_pool(reference, pool, inputs):
    module = small_generator(model__reference=reference, model__mlp_pool=pool)
    out, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((2, 32, 32, 3))))
    assert (out.image.shape, out.cam_logit.shape, out.heatmap.shape) == ((2, 32, 32, 3), (2, 2), (2, 8, 8))
    width = 4 * 1 if reference == 'paper' else 16  # ch * n_res, or 4 ch
    assert variables['params']['mlp_0']['kernel'].shape == (inputs, width)
    assert ('bias' in variables['params']['mlp_0']) == (reference == 'paper')


@pytest.mark.parametrize('channels', [1, 4, 6])
def test_channels(channels):
    module = small_generator(data__channels_A=channels, data__channels_B=channels)
    out = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((1, 32, 32, channels)))[0])
    assert out.image.shape == (1, 32, 32, channels)


def test_light_weights_serve_any_size():
    module = small_generator()
    params = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    out = jax.jit(module.apply)(params, jnp.ones((1, 20, 44, 3)))
    assert out.image.shape == (1, 20, 44, 3) and out.heatmap.shape == (1, 5, 11)
    assert np.isfinite(out.image).all() and abs(out.image).max() <= 1


def test_three_halvings_double_the_channels_once_more():
    module = small_generator(model__n_down=3, model__stem_kernel=5)
    out, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((1, 32, 64, 3))))
    assert (out.image.shape, out.heatmap.shape) == ((1, 32, 64, 3), (1, 4, 8))
    shapes = {name: variables['params'][name]['kernel'].shape for name in ('stem', 'down_2', 'up_0', 'up_2', 'head')}
    assert shapes == {
        'stem': (5, 5, 3, 4),
        'down_2': (3, 3, 16, 32),
        'up_0': (3, 3, 32, 16),
        'up_2': (3, 3, 8, 4),
        'head': (5, 5, 4, 3),
    }
    assert variables['params']['encoder']['conv_0']['kernel'].shape == (1, 3, 3, 32, 32)


def test_pixels_as_channels_and_the_image_at_the_end():
    module = small_generator(model__n_down=1, model__pixel_unshuffle=2, model__image_skip=True, model__stem_kernel=3)
    assert module.side_multiple == 4
    images = np.random.default_rng(0).uniform(-1, 1, (1, 16, 24, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), images)
    params = variables['params']
    shapes = {name: params[name]['kernel'].shape for name in ('stem', 'down_0', 'up_0', 'head')}
    assert shapes == {'stem': (3, 3, 12, 4), 'down_0': (3, 3, 4, 8), 'up_0': (3, 3, 8, 4), 'head': (3, 3, 4 + 12, 12)}

    # a head that gives its last twelve inputs gives the image: it sees it at the right place, and pixels return to theirs
    head = np.zeros((3, 3, 16, 12), np.float32)
    head[1, 1, 4:] = np.eye(12)
    params['head'] = {'kernel': head, 'bias': np.zeros(12, np.float32)}
    np.testing.assert_allclose(jax.jit(module.apply)(variables, images).image, np.tanh(images), atol=1e-6)


def test_discriminators_have_channels_of_their_own():
    def first(networks):
        shape = jax.eval_shape(networks.disG.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        return shape['params']['conv_0']['kernel'].shape[-1]

    assert first(make_networks(small_config())) == 2
    assert first(make_networks(small_config(model__discriminator_ch=5))) == 5


def test_blocks_as_a_loop_equal_blocks_in_a_row():
    loop = small_generator(model__n_res=3)
    params = jax.jit(loop.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    x = jax.random.normal(jax.random.key(1), (1, 32, 32, 3))
    np.testing.assert_allclose(
        jax.jit(loop.apply)(params, x).image, jax.jit(loop.clone(unroll=3).apply)(params, x).image, atol=1e-5
    )


def test_the_mlp_of_gamma_and_beta_computes_in_float32():
    x = jax.random.normal(jax.random.key(1), (2, 64), jnp.bfloat16)
    out, variables = Dense(8, False, 'normal').init_with_output(jax.random.key(0), x)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, x.astype(jnp.float32) @ variables['params']['kernel'], rtol=1e-5, atol=1e-6)


def test_pool_to_averages_cells():
    x = jnp.arange(2 * 6 * 7 * 1.0).reshape(2, 6, 7, 1)
    pooled = pool_to(x, 3)
    np.testing.assert_allclose(pooled[0, 1, 2, 0], x[0, 2:4, 4:7, 0].mean(), rtol=1e-6)  # columns 14/3 to 7
    np.testing.assert_allclose(pool_to(x, 1)[:, 0, 0], x.mean((1, 2)), rtol=1e-6)
