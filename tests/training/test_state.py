"""The start of a run."""

import jax
import numpy as np

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.state import init_state


def test_a_state_follows_from_its_seed():
    def start(seed: int):
        config = default.get_config()
        config.model.ch, config.model.n_res, config.data.image_size, config.model.n_layers_global = 2, 1, 32, 5
        config.training.ema_decay, config.seed = 0.9, seed
        config = resolve(config)
        return jax.device_get(init_state(make_networks(config), config))

    one, same, other = start(1), start(1), start(2)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.generator['genA2B']['stem']['kernel'], other.generator['genA2B']['stem']['kernel'])
    kernels = [one.generator[name]['stem']['kernel'] for name in ('genA2B', 'genB2A')]
    assert not np.array_equal(*kernels)
    np.testing.assert_array_equal(one.ema['genA2B']['stem']['kernel'], kernels[0])
