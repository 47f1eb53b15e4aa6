"""Discriminators: widths, depths, and which image sizes they take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.networks import make_networks


def modules(reference: str):
    config = default.get_config()
    config.model.reference = reference
    return make_networks(resolve(config))


@pytest.mark.parametrize('reference, patches', [('paper', (8, 32)), ('pytorch', (6, 30))])
def test_widths_and_patches_at_256(reference, patches):
    for module, widths, side in zip(
        (modules(reference).disG, modules(reference).disL),
        ([64, 128, 256, 512, 1024, 2048], [64, 128, 256, 512]),
        patches,
        strict=True,
    ):
        out, variables = jax.eval_shape(
            lambda module=module: module.init_with_output(jax.random.key(0), jnp.zeros((1, 256, 256, 3)))
        )
        names = [f'conv_{i}' for i in range(len(widths) - 1)] + ['conv_last']
        assert [variables['params'][name]['kernel'].shape[-1] for name in names] == widths
        assert out.logit.shape == (1, side, side, 1) and out.cam_logit.shape == (1, 2)
        assert ('bias' in variables['params']['logit']) == (reference == 'paper')


@pytest.mark.parametrize('padding', [(1, 1), (1, 2)])
@pytest.mark.parametrize('n_layers', [2, 3, 5])
def test_fits_says_what_the_module_takes(padding, n_layers):
    module = modules('paper').disG.clone(ch=1, n_layers=n_layers, patch_padding=padding)
    for size in range(2, 40):
        try:
            out = jax.eval_shape(
                lambda size=size: module.init_with_output(jax.random.key(0), jnp.zeros((1, size, size, 1)))[0]
            )
            taken = out.logit.size > 0
        except ValueError:
            taken = False
        assert fits(size, n_layers, padding) == taken, size


def test_without_cam_or_spectral_norm_nothing_of_them_is_left():
    def parts(**fields):
        module = modules('paper').disL.clone(ch=1, n_layers=3, **fields)
        out, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((2, 16, 16, 3))))
        return out, set(variables['params']), variables.get('spectral', {})

    whole, names, vectors = parts()
    without_cam, names_without, vectors_without = parts(use_cam=False)
    assert names - names_without == {'cam'} and set(vectors) - set(vectors_without) == {'cam'}
    assert without_cam.cam_logit is None and without_cam.heatmap is None and without_cam.logit.shape == whole.logit.shape
    plain, plain_names, plain_vectors = parts(spectral=False)
    assert plain_names == names and not plain_vectors and plain.cam_logit.shape == (2, 2)


def test_without_spectral_norm_kernels_are_as_they_are():
    module = modules('paper').disL.clone(ch=1, n_layers=2, use_cam=False, spectral=False)
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 3))
    params = module.init(jax.random.key(0), x)['params']
    logit = module.apply({'params': params}, x).logit
    doubled = module.apply({'params': params | {'logit': jax.tree.map(lambda w: 2 * w, params['logit'])}}, x).logit
    np.testing.assert_allclose(doubled, 2 * logit, rtol=1e-5)
