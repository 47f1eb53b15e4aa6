"""What the two halves of a step minimise, as functions of the parameters; no optimiser and no state in here."""
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ugatit_jax import losses
from ugatit_jax.data.diffaugment import diffaugment
from ugatit_jax.models import DiscriminatorOutput
from ugatit_jax.models.spectral_norm import COLLECTION, grouped
from ugatit_jax.networks import DISCRIMINATORS, Networks
from ugatit_jax.state import Params

Metrics = dict[str, jax.Array]
Images = dict[str, jax.Array]


class Augmentation(NamedTuple):
    """DiffAugment of what discriminators see in one half of a step; an empty policy is none."""
    policy: tuple[str, ...]
    key: jax.Array | None
    rows: jax.Array  # int32 [B], places of these examples in the whole batch: random numbers follow from them


def pair(a: jax.Array, b: jax.Array) -> jax.Array:
    """[B, ...] and [B, ...] -> [2B, ...] in turn, so that an example's rows stay on its device."""
    return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def unpair(x: Any) -> tuple[Any, Any]:
    """Tree of [2B, ...] -> two trees of [B, ...]; the inverse of `pair`."""
    split = jax.tree.map(lambda leaf: leaf.reshape(-1, 2, *leaf.shape[1:]), x)
    return jax.tree.map(lambda leaf: leaf[:, 0], split), jax.tree.map(lambda leaf: leaf[:, 1], split)


def forward(networks: Networks, config: ConfigDict, name: str, variables: Params, images: jax.Array) -> Any:
    """Output of network `name`; with training.remat, its backward pass computes the activations again."""
    apply = networks.module(name).apply
    return (jax.checkpoint(apply) if config.training.remat else apply)(variables, images)


def generate(networks: Networks, config: ConfigDict, generator: Params, real: Images) -> dict[str, jax.Array]:
    """Fakes, identities and their CAM logits; calls of the same weights share a batch.

    real {'A', 'B'} [B, h, w, C] in [-1, 1] -> fake_A, fake_B, idt_A, idt_B [B, h, w, C], cam_* [B, 2] of each.
    """
    outputs = {}
    for source, target in (('A', 'B'), ('B', 'A')):
        variables = {'params': generator[name := f'gen{source}2{target}']}
        if uses_identity(config):
            fake, idt = unpair(forward(networks, config, name, variables, pair(real[source], real[target])))
            outputs |= {f'idt_{target}': idt.image, f'cam_idt_{target}': idt.cam_logit}
        else:  # domains of different channels have no identity
            fake = forward(networks, config, name, variables, real[source])
        outputs |= {f'fake_{target}': fake.image, f'cam_fake_{target}': fake.cam_logit}
    return outputs


def discriminate(
    networks: Networks, config: ConfigDict, name: str, params: Params, images: jax.Array, *spectral: Params,
    augmentation: Augmentation,
) -> DiscriminatorOutput:
    """Discriminator `name` on images [groups * B, h, w, C], with the spectral vectors of one forward for each group.

    Where there is a DiffAugment policy, it is applied to the images first, differently for each discriminator.
    """
    policy, key, rows = augmentation
    if policy:
        rows = (rows[:, None] * len(spectral) + jnp.arange(len(spectral))).reshape(-1)  # as `pair` deals them
        images = diffaugment(images, jax.random.fold_in(key, DISCRIMINATORS.index(name)), policy, rows)
    return forward(networks, config, name, {'params': params[name], COLLECTION: grouped(*spectral)}, images)


def discriminator_objective(
    discriminator: Params, networks: Networks, config: ConfigDict, real: Images, fake: Images,
    spectral_real: Params, spectral_fake: Params, augmentation: Augmentation,
) -> tuple[jax.Array, Metrics]:
    """The discriminators' total loss and its terms D_ad_*, D_cam_* (unweighted), D_A, D_B, D (weighted sums)."""
    metrics = {}
    for name in DISCRIMINATORS:
        domain, short = name[-1], name[3:]
        out = discriminate(
            networks, config, name, discriminator, pair(real[domain], fake[domain]), spectral_real[name],
            spectral_fake[name], augmentation=augmentation)
        on_real, on_fake = unpair(out)
        metrics[f'D_ad_{short}'] = losses.discriminator_loss(on_real.logit, on_fake.logit)
        metrics[f'D_cam_{short}'] = losses.discriminator_loss(on_real.cam_logit, on_fake.cam_logit)
    for domain in 'AB':
        metrics[f'D_{domain}'] = config.loss.adversarial_weight * sum(
            metrics[f'D_{kind}_{reach}{domain}'] for reach in 'GL' for kind in ('ad', 'cam'))
    metrics['D'] = metrics['D_A'] + metrics['D_B'] + regularization(config, discriminator)
    return metrics['D'], metrics


def generator_objective(
    generator: Params, outputs: dict[str, jax.Array], networks: Networks, config: ConfigDict, real: Images,
    discriminator: Params, spectral: Params, augmentation: Augmentation,
) -> tuple[jax.Array, Metrics]:
    """The generators' total loss given their first outputs, and its terms: unweighted, and G_A, G_B, G (weighted).

    G_ad_*, G_adcam_* are named by discriminator, the others by the domain that is made: G_cam_B is genA2B's.
    """
    weights, metrics = config.loss, {}
    for domain, other in (('A', 'B'), ('B', 'A')):
        back = f'gen{other}2{domain}'
        rec = forward(networks, config, back, {'params': generator[back]}, outputs[f'fake_{other}']).image
        for reach in 'GL':
            name = f'dis{reach}{domain}'
            out = discriminate(
                networks, config, name, discriminator, outputs[f'fake_{domain}'], spectral[name],
                augmentation=augmentation)
            metrics[f'G_ad_{reach}{domain}'] = losses.generator_loss(out.logit)
            metrics[f'G_adcam_{reach}{domain}'] = losses.generator_loss(out.cam_logit)
        metrics[f'G_recon_{domain}'] = losses.cycle_loss(real[domain], rec)
        total = weights.cycle_weight * metrics[f'G_recon_{domain}'] + weights.adversarial_weight * sum(
            metrics[f'G_{kind}_{reach}{domain}'] for reach in 'GL' for kind in ('ad', 'adcam'))
        if uses_identity(config):
            metrics[f'G_id_{domain}'] = losses.identity_loss(real[domain], outputs[f'idt_{domain}'])
            metrics[f'G_cam_{domain}'] = losses.cam_loss(outputs[f'cam_fake_{domain}'], outputs[f'cam_idt_{domain}'])
            total += weights.identity_weight * metrics[f'G_id_{domain}']
            total += weights.cam_weight * metrics[f'G_cam_{domain}']
        metrics[f'G_{domain}'] = total
    metrics['G'] = metrics['G_A'] + metrics['G_B'] + regularization(config, generator)
    return metrics['G'], metrics


def uses_identity(config: ConfigDict) -> bool:
    """Whether the generators run on their target domain at all: for the identity or for the CAM loss."""
    return bool(config.loss.identity_weight or config.loss.cam_weight)


def regularization(config: ConfigDict, params: Params) -> jax.Array | float:
    """weight_decay * sum(||kernel||^2) / 2 where the reference has it in the loss, else 0."""
    if config.optimizer.weight_decay_mode != 'kernel_l2':
        return 0.0
    return config.optimizer.weight_decay * losses.kernel_l2(params)
