"""What generators minimise that learn from a trained teacher: to give its images, and to look like the target domain."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.config.derived import uses_discriminators
from ugatit_jax.models.names import DIRECTIONS, generator_of, reverse_of, source_of, target_of
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.objectives import DiffAugment, adversarial_terms, forward, regularization
from ugatit_jax.training.types import Images, Metrics, Params, Weights


def teach(teacher: Networks, config: ConfigDict, params: Params, real: Images) -> Images:
    """The teacher's fake_A and fake_B, [B, h, w, C] in [-1, 1], of real {'A', 'B'}; no gradient goes through them."""
    targets = {}
    for direction in DIRECTIONS:
        name, source, target = generator_of(direction), source_of(direction), target_of(direction)
        fake = forward(teacher, config, name, {'params': params[name]}, real[source]).image
        targets[f'fake_{target}'] = jax.lax.stop_gradient(fake)
    return targets


def encoder_features(generator: nn.Module, params: Any, images: jax.Array) -> jax.Array:
    """The map [B, h', w', C] after a generator's last halving, of images [B, h, w, C]; the layers after it are not run."""
    last = f'down_norm_{generator.n_down - 1}'
    _, captured = generator.apply(
        {'params': params}, images, capture_intermediates=lambda module, _: module.name == last, mutable=['intermediates']
    )
    return captured['intermediates'][last]['__call__'][0]


def distill_objective(
    teacher: Networks,
    teacher_params: Params,
    targets: Images,
    generator: Params,
    outputs: Images,
    networks: Networks,
    config: ConfigDict,
    weights: Weights,
    real: Images,
    discriminator: Params,
    spectral: Params,
    augmentation: DiffAugment,
) -> tuple[jax.Array, Metrics]:
    """The generators' total loss given the `outputs` of `generate`, in place of `generator_objective`, and its terms.

    targets: of `teach`. G_l1_*: mean absolute difference of the images. G_feature_*: of what the encoder of the teacher's
    reverse generator, which knows that domain, makes of both. G_ad_* and G_adcam_* are those of `generator_objective`, left
    out where their weights are 0. Terms are unweighted, G_A, G_B, G weighted; all are named by the domain that is made.
    """
    del real
    metrics = {}
    for direction in reversed(DIRECTIONS):
        domain, reverse = target_of(direction), generator_of(reverse_of(direction))
        fake, wanted = outputs[f'fake_{domain}'], targets[f'fake_{domain}']
        of_fake, of_wanted = (
            encoder_features(teacher.module(reverse), teacher_params[reverse], images) for images in (fake, wanted)
        )
        metrics[f'G_l1_{domain}'] = jnp.mean(jnp.abs(fake - wanted))
        metrics[f'G_feature_{domain}'] = jnp.mean(jnp.abs(of_fake - of_wanted))
        adversarial = {}
        if uses_discriminators(config):
            adversarial = adversarial_terms(fake, networks, config, domain, discriminator, spectral, augmentation)
        metrics |= adversarial
        metrics[f'G_{domain}'] = (
            weights['l1_weight'] * metrics[f'G_l1_{domain}']
            + weights['feature_weight'] * metrics[f'G_feature_{domain}']
            + weights[f'adversarial_weight_{direction}'] * sum(adversarial.values())
        )
    metrics['G'] = metrics['G_A'] + metrics['G_B'] + regularization(config, weights, generator)
    return metrics['G'], metrics
