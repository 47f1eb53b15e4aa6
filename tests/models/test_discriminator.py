"""Discriminators: widths, depths, and which picture sizes they take."""
import jax
import jax.numpy as jnp
import pytest

from configs import default
from ugatit_jax.config import resolve
from ugatit_jax.models.discriminator import fits
from ugatit_jax.networks import make_networks


def modules(reference: str):
    config = default.get_config()
    config.model.reference = reference
    return make_networks(resolve(config))


@pytest.mark.parametrize('reference, patches', [('paper', (8, 32)), ('pytorch', (6, 30))])
def test_widths_and_patches_at_256(reference, patches):
    for module, widths, side in zip(
            (modules(reference).disG, modules(reference).disL),
            ([64, 128, 256, 512, 1024, 2048], [64, 128, 256, 512]), patches, strict=True):
        out, variables = jax.eval_shape(
            lambda module=module: module.init_with_output(jax.random.key(0), jnp.zeros((1, 256, 256, 3))))
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
                lambda size=size: module.init_with_output(jax.random.key(0), jnp.zeros((1, size, size, 1)))[0])
            taken = out.logit.size > 0
        except ValueError:
            taken = False
        assert fits(size, n_layers, padding) == taken, size
