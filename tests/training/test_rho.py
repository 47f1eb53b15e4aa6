"""rho as metrics: every layer of the real networks, under readable names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.names import GENERATORS
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.rho import compiled_rho_statistics, rho_layers


def generators_of(n_res: int, decoder_norm: str = 'adalin', up_norm: str = 'lin', n_down: int = 2) -> dict:
    """Parameters of both generators with random numbers in them."""
    config = default.get_config()
    config.model.decoder_norm, config.model.up_norm, config.model.norm_groups = decoder_norm, up_norm, 2
    config.data.image_size, config.model.ch, config.model.n_res, config.model.n_down = 32, 2, n_res, n_down
    config.model.n_layers_global, config.model.n_layers_local = 4, 3
    if decoder_norm != 'adain':
        config.model.mlp_width = 8
    networks = make_networks(resolve(config))
    random = np.random.default_rng(0)
    shapes = {
        name: jax.eval_shape(networks.module(name).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))['params']
        for name in GENERATORS
    }
    return jax.tree.map(lambda leaf: random.random(leaf.shape, np.float32), shapes)


@pytest.mark.parametrize('n_res, n_down', [(0, 2), (3, 1), (1, 3)])
def test_every_rho_is_there_once(n_res, n_down):
    generators = generators_of(n_res, n_down=n_down)
    layers = rho_layers(generators)
    leaves = [leaf for path, leaf in jax.tree.leaves_with_path(generators) if path[-1].key == 'rho']
    ours = np.sort(np.concatenate([np.ravel(rho) for rho in layers.values()]))
    np.testing.assert_array_equal(ours, np.sort(np.concatenate([leaf.ravel() for leaf in leaves])))
    decoder = [f'decoder_{i}_norm_{j}' for i in range(n_res) for j in (0, 1)]
    ups = [f'up_norm_{i}' for i in range(n_down)]
    assert list(layers) == [f'{name}/{layer}' for name in GENERATORS for layer in [*decoder, *ups]]


def test_layers_of_an_ablation_have_none():
    names = [layer.partition('/')[2] for layer in rho_layers(generators_of(1, decoder_norm='in'))]
    assert names == ['up_norm_0', 'up_norm_1'] * 2
    assert len(rho_layers(generators_of(2, up_norm='gn'))) == 2 * 4
    assert compiled_rho_statistics(generators_of(1, 'adain', 'ln')) == {}


def test_statistics_are_of_the_layer_that_the_key_names():
    generators = generators_of(3)
    statistics = jax.device_get(compiled_rho_statistics(generators))
    assert len(statistics) == 2 * (3 * 2 + 2) * 3
    rho = generators['genB2A']['decoder']['norm_1']['rho'][2]
    for kind in ('min', 'mean', 'max'):
        assert statistics[f'rho_{kind}/genB2A/decoder_2_norm_1'] == pytest.approx(getattr(rho, kind)(), rel=1e-6)
    assert statistics['rho_max/genA2B/up_norm_0'] == generators['genA2B']['up_norm_0']['rho'].max()
