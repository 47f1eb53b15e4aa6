"""The CAM head against the construction written out in the paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from ugatit_jax.models.cam import CAM


@pytest.mark.parametrize('shared', [True, False])
def test_attention_is_the_1x1_convolution_of_both_weighted_maps(shared):
    module = CAM(nn.relu, shared=shared, use_bias=shared, weight_init='torch')
    x = jax.random.normal(jax.random.key(1), (2, 4, 5, 6))
    params = module.init(jax.random.key(0), x)['params']
    y, logit, heatmap = module.apply({'params': params}, x)

    average, largest = (params['classifier'],) * 2 if shared else (params['average'], params['max'])
    bias = average['bias'][0] if shared else 0.0
    pools = {'average': x.mean((1, 2)), 'max': x.max((1, 2))}
    expected_logit = jnp.stack(
        [pools['average'] @ average['kernel'][:, 0] + bias, pools['max'] @ largest['kernel'][:, 0] + bias], axis=1
    )
    both = jnp.concatenate([x * (average['kernel'][:, 0] + bias), x * (largest['kernel'][:, 0] + bias)], axis=-1)
    expected = nn.relu(both @ params['kernel'][0, 0] + params['bias'])
    np.testing.assert_allclose(logit, expected_logit, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(heatmap, expected.sum(-1), rtol=1e-4, atol=1e-5)
