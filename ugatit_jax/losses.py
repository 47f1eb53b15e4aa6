"""The losses (paper, section 2.2), each a pure function; means over everything, so over the batch too."""
from typing import Any

import jax
import jax.numpy as jnp
import optax


def discriminator_loss(real_logit: jax.Array, fake_logit: jax.Array) -> jax.Array:
    """mean((D(real) - 1)^2) + mean(D(fake)^2), least squares (paper, equation 4); logits of any shape."""
    return jnp.mean(jnp.square(real_logit - 1)) + jnp.mean(jnp.square(fake_logit))


def generator_loss(fake_logit: jax.Array) -> jax.Array:
    """mean((D(fake) - 1)^2), least squares (paper, equation 4); logits of any shape."""
    return jnp.mean(jnp.square(fake_logit - 1))


def cycle_loss(real: jax.Array, rec: jax.Array) -> jax.Array:
    """mean|real - rec| (paper, equation 5) of images [B, h, w, C]."""
    return jnp.mean(jnp.abs(real - rec))


def identity_loss(real: jax.Array, idt: jax.Array) -> jax.Array:
    """mean|real - idt| (paper, equation 6) of images [B, h, w, C]."""
    return jnp.mean(jnp.abs(real - idt))


def cam_loss(source_logit: jax.Array, target_logit: jax.Array) -> jax.Array:
    """Binary cross entropy of a generator's CAM logits [B, 2]: its source domain is 1, its target 0 (equation 7)."""
    source = optax.sigmoid_binary_cross_entropy(source_logit, jnp.ones_like(source_logit))
    target = optax.sigmoid_binary_cross_entropy(target_logit, jnp.zeros_like(target_logit))
    return jnp.mean(source) + jnp.mean(target)


def kernel_l2(params: Any) -> jax.Array:
    """sum(||kernel||^2) / 2 over all kernels of a tree of parameters, raw ones where spectrally normalised.

    The TensorFlow release's regulariser; biases, rho, gamma, beta and norms are left out.
    """
    kernels = [leaf for path, leaf in jax.tree.leaves_with_path(params) if path[-1].key == 'kernel']
    return sum(jnp.sum(jnp.square(kernel)) for kernel in kernels) / 2
