"""Adam of generators and discriminators: rates, clipping, decay."""

import jax.numpy as jnp
import numpy as np

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.optimizer import make_optimizer


def test_critics_share_the_rate_of_their_step_and_gradients_are_clipped_before_the_decay():
    config = default.get_config()
    config.model.reference, config.training.steps, config.training.n_critic = 'pytorch', 4, 3
    config.optimizer.clip_norm, config.optimizer.eps, config.optimizer.weight_decay = 1.0, 1.0, 0.5
    config = resolve(config)
    params, grads = {'w': jnp.array([2.0, 0.0])}, {'w': jnp.array([30.0, 40.0])}  # norm 50, clipped to 0.6, 0.8
    for kind, updates in (('generator', 1), ('discriminator', 3)):
        optimizer = make_optimizer(config, hyperparameters(config), kind)
        opt_state, steps = optimizer.init(params), []
        for _ in range(4 * updates):
            update, opt_state = optimizer.update(grads, opt_state, params)
            steps.append(update['w'])
        g = np.array([0.6 + 0.5 * 2, 0.8])  # Adam of a constant gradient is g / (g + eps)
        rate = np.repeat([1e-4, 1e-4, 0.5e-4, 0], updates)
        np.testing.assert_allclose(steps, -rate[:, None] * g / (g + 1), rtol=1e-4, atol=1e-12)
