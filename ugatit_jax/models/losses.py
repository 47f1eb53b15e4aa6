"""The losses (paper, section 2.2), each a pure function; means over everything, so over the batch too."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from ugatit_jax.models.names import ADVERSARIAL


def discriminator_loss(real_logit: jax.Array, fake_logit: jax.Array, kind: str = 'lsgan') -> jax.Array:
    """An adversarial loss of the TensorFlow release, one of ADVERSARIAL; logits of any shape, real and fake may differ.

    lsgan: mean((D(real) - 1)^2) + mean(D(fake)^2) (paper, equation 4). gan, dragan: binary cross entropy, real to 1, fake
    to 0. hinge: mean(max(0, 1 - D(real))) + mean(max(0, 1 + D(fake))). wgan-*: mean(D(fake)) - mean(D(real)).
    """
    if kind == 'lsgan':
        return jnp.mean(jnp.square(real_logit - 1)) + jnp.mean(jnp.square(fake_logit))
    if kind in ('gan', 'dragan'):
        return jnp.mean(cross_entropy(real_logit, 1)) + jnp.mean(cross_entropy(fake_logit, 0))
    if kind == 'hinge':
        return jnp.mean(jax.nn.relu(1 - real_logit)) + jnp.mean(jax.nn.relu(1 + fake_logit))
    if kind in ('wgan-gp', 'wgan-lp'):
        return jnp.mean(fake_logit) - jnp.mean(real_logit)
    raise ValueError(f'{kind!r} is not one of {ADVERSARIAL}')


def generator_loss(fake_logit: jax.Array, kind: str = 'lsgan') -> jax.Array:
    """The generators' side of `discriminator_loss`; logits of any shape.

    lsgan: mean((D(fake) - 1)^2) (paper, equation 4). gan, dragan: binary cross entropy, fake to 1. hinge, wgan-*:
    -mean(D(fake)).
    """
    if kind == 'lsgan':
        return jnp.mean(jnp.square(fake_logit - 1))
    if kind in ('gan', 'dragan'):
        return jnp.mean(cross_entropy(fake_logit, 1))
    if kind in ('hinge', 'wgan-gp', 'wgan-lp'):
        return -jnp.mean(fake_logit)
    raise ValueError(f'{kind!r} is not one of {ADVERSARIAL}')


def cross_entropy(logit: jax.Array, label: float) -> jax.Array:
    """Binary cross entropy of every logit with one label."""
    return optax.sigmoid_binary_cross_entropy(logit, jnp.full_like(logit, label))


def penalty_images(keys: jax.Array, real: jax.Array, fake: jax.Array, kind: str) -> jax.Array:
    """Where a discriminator's gradient is measured: images [B, h, w, C], one random point for each example; keys [B].

    real + alpha * (other - real) with alpha from U(0, 1) per example. wgan-*: other is the fake (Gulrajani et al., 2017).
    dragan: real + 0.5 * std(all of real) * U(0, 1) per value, as the TensorFlow release has Kodali et al. (2017).
    """
    size = 0.5 * jnp.std(real)

    def one(key: jax.Array, real: jax.Array, fake: jax.Array) -> jax.Array:
        alpha_key, noise_key = jax.random.split(key)
        if kind == 'dragan':
            fake = real + size * jax.random.uniform(noise_key, real.shape, real.dtype)
        return real + jax.random.uniform(alpha_key, (), real.dtype) * (fake - real)

    return jax.vmap(one)(keys, real, fake)


def gradient_penalties(
    logits: Callable[[jax.Array], dict[str, jax.Array]], images: jax.Array, kind: str
) -> dict[str, jax.Array]:
    """mean over examples of (|gradient| - 1)^2, or for wgan-lp of max(0, |gradient| - 1)^2, for each kind of logits.

    logits: images [B, h, w, C] -> {name: [B, ...]}; an example's gradient is that of the sum of its logits of one name, as
    the TensorFlow release has it, and an example's logits must not depend on others.
    """
    outputs, vjp = jax.vjp(logits, images)
    penalties = {}
    for name in outputs:
        chosen = {other: jnp.full_like(logit, other == name) for other, logit in outputs.items()}
        (gradient,) = vjp(chosen)
        norm = optax.safe_norm(gradient.reshape(gradient.shape[0], -1), 0.0, axis=1)  # its own gradient at 0 is 0
        excess = jax.nn.relu(norm - 1) if kind == 'wgan-lp' else norm - 1
        penalties[name] = jnp.mean(jnp.square(excess))
    return penalties


def cycle_loss(real: jax.Array, rec: jax.Array) -> jax.Array:
    """mean|real - rec| (paper, equation 5) of images [B, h, w, C]."""
    return jnp.mean(jnp.abs(real - rec))


def identity_loss(real: jax.Array, idt: jax.Array) -> jax.Array:
    """mean|real - idt| (paper, equation 6) of images [B, h, w, C]."""
    return jnp.mean(jnp.abs(real - idt))


def cam_loss(source_logit: jax.Array, target_logit: jax.Array) -> jax.Array:
    """Binary cross entropy of a generator's CAM logits [B, 2]: its source domain is 1, its target 0 (equation 7)."""
    return jnp.mean(cross_entropy(source_logit, 1)) + jnp.mean(cross_entropy(target_logit, 0))


def kernel_l2(params: Any) -> jax.Array:
    """sum(||kernel||^2) / 2 over all kernels of a tree of parameters, raw ones where spectrally normalised.

    The TensorFlow release's regulariser; biases, rho, gamma, beta and norms are left out.
    """
    kernels = [leaf for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == 'kernel']
    return sum(jnp.sum(jnp.square(kernel)) for kernel in kernels) / 2
