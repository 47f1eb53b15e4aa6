"""Losses against direct numpy formulas."""
import jax.numpy as jnp
import numpy as np

from ugatit_jax import losses


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_adversarial():
    real, fake = draw(0, 2, 4, 4, 1), draw(1, 2, 4, 4, 1)
    np.testing.assert_allclose(
        losses.discriminator_loss(real, fake), ((real - 1) ** 2).mean() + (fake**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(losses.generator_loss(fake), ((fake - 1) ** 2).mean(), rtol=1e-5)


def test_l1():
    a, b = draw(0, 2, 4, 4, 3), draw(1, 2, 4, 4, 3)
    for loss in (losses.cycle_loss, losses.identity_loss):
        np.testing.assert_allclose(loss(a, b), abs(a - b).mean(), rtol=1e-5)


def test_cam_wants_the_source_at_1_and_the_target_at_0():
    source, target = draw(0, 3, 2) * 4, draw(1, 3, 2) * 4

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    expected = -np.log(sigmoid(source)).mean() - np.log(1 - sigmoid(target)).mean()
    np.testing.assert_allclose(losses.cam_loss(source, target), expected, rtol=1e-4)
    assert losses.cam_loss(jnp.full((1, 2), 200.0), jnp.full((1, 2), -200.0)) < 1e-6  # and no overflow


def test_kernel_l2_takes_kernels_only():
    norm = {'rho': jnp.ones(4), 'scale': jnp.ones(4)}
    params = {'a': {'kernel': jnp.full((2, 2), 3.0), 'bias': jnp.ones(2)}, 'norm': norm}
    assert losses.kernel_l2(params) == 4 * 9 / 2
