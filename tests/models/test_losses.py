"""Losses against direct numpy formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ugatit_jax.models import losses
from ugatit_jax.models.discriminator import Discriminator
from ugatit_jax.models.names import ADVERSARIAL, PENALIZED


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_adversarial():
    real, fake = draw(0, 2, 4, 4, 1), draw(1, 2, 4, 4, 1)
    np.testing.assert_allclose(losses.discriminator_loss(real, fake), ((real - 1) ** 2).mean() + (fake**2).mean(), rtol=1e-5)
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


def softplus(x: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(x))


FORMULAS = {  # of the discriminators on (real, fake), of the generators on fake
    'lsgan': (lambda r, f: ((r - 1) ** 2).mean() + (f**2).mean(), lambda f: ((f - 1) ** 2).mean()),
    'gan': (lambda r, f: softplus(-r).mean() + softplus(f).mean(), lambda f: softplus(-f).mean()),
    'hinge': (lambda r, f: np.maximum(0, 1 - r).mean() + np.maximum(0, 1 + f).mean(), lambda f: -f.mean()),
    'wgan-gp': (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
}
FORMULAS |= {'dragan': FORMULAS['gan'], 'wgan-lp': FORMULAS['wgan-gp']}


@pytest.mark.parametrize('kind', ADVERSARIAL)
@pytest.mark.parametrize('shape', [(2, 4, 4, 1), (3, 2)])
def test_every_adversarial_loss_is_its_formula(kind, shape):
    real, fake = draw(0, *shape) * 2, draw(1, *shape) * 2 - 0.5
    discriminator, generator = FORMULAS[kind]
    np.testing.assert_allclose(losses.discriminator_loss(real, fake, kind), discriminator(real, fake), rtol=1e-5)
    np.testing.assert_allclose(losses.generator_loss(fake, kind), generator(fake), rtol=1e-5)


def test_cross_entropy_of_large_logits_is_finite():
    assert losses.discriminator_loss(jnp.full(3, -200.0), jnp.full(3, 200.0), 'gan') == 400


def test_an_unknown_adversarial_loss_is_no_loss():
    with pytest.raises(ValueError, match='wgan'):
        losses.discriminator_loss(jnp.ones(1), jnp.ones(1), 'wgan')
    with pytest.raises(ValueError, match='wgan'):
        losses.generator_loss(jnp.ones(1), 'wgan')


def test_points_between_real_and_fake():
    real, fake = draw(0, 4, 3, 3, 2), draw(1, 4, 3, 3, 2)
    keys, points = jax.random.split(jax.random.key(0), 4), jax.jit(losses.penalty_images, static_argnums=3)
    alpha = np.asarray(points(keys, real, fake, 'wgan-gp') - real) / (fake - real)
    assert alpha.min() >= 0 and alpha.max() <= 1 and np.ptp(alpha.mean((1, 2, 3))) > 0.1  # one for each example
    np.testing.assert_allclose(alpha, np.broadcast_to(alpha[:, :1, :1, :1], alpha.shape), atol=1e-4)
    part = points(keys[1:3], real[1:3], fake[1:3], 'wgan-gp')  # of a part of the batch: the same points
    np.testing.assert_allclose(part, points(keys, real, fake, 'wgan-gp')[1:3], rtol=1e-5, atol=1e-6)


def test_points_around_real():
    real, points = draw(0, 6, 8, 8, 3), jax.jit(losses.penalty_images, static_argnums=3)
    noise = np.asarray(points(jax.random.split(jax.random.key(0), 6), real, np.full_like(real, np.nan), 'dragan')) - real
    largest = 0.5 * np.std(real)
    assert 0 <= noise.min() and noise.max() <= largest and noise.max() > 0.6 * largest
    means = noise.mean((1, 2, 3))  # alpha of each example, times half of the largest
    assert np.ptp(means) > 0.1 * largest and np.std(noise, axis=(1, 2, 3)).min() > 0


@pytest.fixture(scope='module')
def discriminator():
    """A tiny discriminator with CAM in float64: (logits(params, images), params, images)."""
    with jax.enable_x64(True):
        module = Discriminator(
            ch=1,
            n_layers=2,
            patch_padding=(1, 2),
            head_bias=True,
            cam_shared=True,
            cam_bias=True,
            cam_attention_normalized=True,
            weight_init='torch',
            dtype=jnp.float64,
            spectral=False,
        )
        images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 4, 1)) * np.array([1, 5]).reshape(2, 1, 1, 1))
        params = jax.jit(module.init)(jax.random.key(0), images)['params']
        params = jax.tree.map(lambda w: 1.5 * w.astype(float), params)

        def logits(params: dict, images: jax.Array) -> dict[str, jax.Array]:
            out = module.apply({'params': params}, images)
            return {'patch': out.logit, 'cam': out.cam_logit}

        yield logits, params, images


def penalties(logits, params: dict, images: jax.Array, kind: str) -> dict[str, jax.Array]:
    return losses.gradient_penalties(lambda images: logits(params, images), images, kind)


def test_penalties_against_finite_differences(discriminator):
    logits, params, images = discriminator
    eps, pixels = 1e-5, 16
    with jax.enable_x64(True):
        steps = eps * np.eye(pixels).reshape(pixels, 4, 4, 1)
        moved = [np.asarray(image) + sign * steps for image in images for sign in (1, -1)]
        out = jax.tree.map(
            lambda x: np.asarray(x).reshape(2, 2, pixels, -1).sum(-1), jax.jit(logits)(params, np.concatenate(moved))
        )
        norms = {name: np.linalg.norm(x[:, 0] - x[:, 1], axis=-1) / (2 * eps) for name, x in out.items()}
        assert min(map(min, norms.values())) < 1 < max(map(max, norms.values()))  # or wgan-lp would be as wgan-gp
        actual = jax.jit(lambda params: {kind: penalties(logits, params, images, kind) for kind in PENALIZED})(params)
        for kind in PENALIZED:
            for name, norm in norms.items():
                excess = np.maximum(norm - 1, 0) if kind == 'wgan-lp' else norm - 1
                np.testing.assert_allclose(actual[kind][name], (excess**2).mean(), rtol=1e-6, err_msg=f'{kind} {name}')


def test_gradients_of_penalties_against_finite_differences(discriminator):
    """The derivative that training uses, along one direction of all weights."""
    logits, params, images = discriminator
    with jax.enable_x64(True):
        total = jax.jit(jax.value_and_grad(lambda params: sum(penalties(logits, params, images, 'wgan-gp').values())))
        rng = np.random.default_rng(1)
        way = jax.tree.map(lambda w: rng.normal(size=w.shape), params)
        up, down = (total(jax.tree.map(lambda w, d, e=e: w + e * d, params, way))[0] for e in (1e-5, -1e-5))
        slope = sum(np.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (total(params)[1], way)), strict=True))
        np.testing.assert_allclose(slope, (up - down) / 2e-5, rtol=1e-6)


def test_a_discriminator_that_sees_nothing_has_a_finite_gradient():
    def total(w):
        return losses.gradient_penalties(lambda x: {'a': w * jnp.sum(x, (1, 2, 3))}, jnp.ones((2, 2, 2, 1)), 'wgan-gp')['a']

    assert total(0.0) == 1 and jax.grad(total)(0.0) == 0
