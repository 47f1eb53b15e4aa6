"""What the two halves of a step minimise, as functions of the parameters; no optimizer and no state in here."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.compiler import checkpoint
from ugatit_jax.config.derived import uses_identity
from ugatit_jax.data.diffaugment import diffaugment
from ugatit_jax.models import losses
from ugatit_jax.models.discriminator import DiscriminatorOutput
from ugatit_jax.models.names import DIRECTIONS, DISCRIMINATORS, domain_of, generator_of, reverse_of, source_of, target_of
from ugatit_jax.models.networks import Networks
from ugatit_jax.models.spectral_norm import COLLECTION
from ugatit_jax.training.types import Images, Metrics, Params, Weights


class DiffAugment(NamedTuple):
    """Augmentation of what discriminators see in one half of a step; an empty policy is none."""

    policy: tuple[str, ...]
    key: jax.Array | None
    rows: jax.Array  # int32 [B], places of these examples in the whole batch: their random numbers follow from them


class Penalty(NamedTuple):
    """What a gradient penalty needs besides the images."""

    key: jax.Array
    spectral: Params  # u and v of the forward on the penalised points, by discriminator, leaf [1, n]


def interleave(a: jax.Array, b: jax.Array) -> jax.Array:
    """[B, ...] and [B, ...] -> [2B, ...], row by row, so that an example's rows stay on its device."""
    return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def deinterleave(x: Any) -> tuple[Any, Any]:
    """Tree of [2B, ...] -> two trees of [B, ...]; the inverse of `interleave`."""
    split = jax.tree.map(lambda leaf: leaf.reshape(-1, 2, *leaf.shape[1:]), x)
    return jax.tree.map(lambda leaf: leaf[:, 0], split), jax.tree.map(lambda leaf: leaf[:, 1], split)


@partial(jax.jit, static_argnames=('module', 'remat'))
def apply(module: nn.Module, remat: bool, variables: Params, images: jax.Array) -> Any:
    """Output of `module` for images [B, h, w, C]; with remat its backward pass recomputes the activations.

    Jitted so that networks with the same architecture are traced once; XLA inlines every call.
    """
    return (checkpoint(module.apply) if remat else module.apply)(variables, images)


def forward(networks: Networks, config: ConfigDict, name: str, variables: Params, images: jax.Array) -> Any:
    """Output of network `name` for images [B, h, w, C]."""
    return apply(networks.module(name), config.training.remat, variables, images)


def generate(networks: Networks, config: ConfigDict, generator: Params, real: Images, with_identity: bool = True) -> Images:
    """Fakes, and identities where a loss uses them, and their CAM logits; calls with the same weights share a batch.

    real {'A', 'B'} [B, h, w, C] in [-1, 1] -> fake_A, fake_B, idt_A, idt_B [B, h, w, C], cam_* [B, 2] of each (None
    without CAM).
    """
    outputs = {}
    for direction in DIRECTIONS:
        name, source, target = generator_of(direction), source_of(direction), target_of(direction)
        variables = {'params': generator[name]}
        if with_identity and uses_identity(config):
            both = forward(networks, config, name, variables, interleave(real[source], real[target]))
            fake, idt = deinterleave(both)
            outputs |= {f'idt_{target}': idt.image, f'cam_idt_{target}': idt.cam_logit}
        else:  # domains with different channels have no identity, and discriminators do not look at it
            fake = forward(networks, config, name, variables, real[source])
        outputs |= {f'fake_{target}': fake.image, f'cam_fake_{target}': fake.cam_logit}
    return outputs


def discriminate(
    networks: Networks,
    config: ConfigDict,
    name: str,
    params: Params,
    spectral: Params,
    images: jax.Array,
    augmentation: DiffAugment,
) -> DiscriminatorOutput:
    """Discriminator `name` on images [groups * B, h, w, C] with u and v of each group, leaf [groups, n].

    A DiffAugment policy is applied to the images first, differently for each discriminator.
    """
    policy, key, rows = augmentation
    if policy:
        groups = images.shape[0] // rows.shape[0]
        rows = (rows[:, None] * groups + jnp.arange(groups)).reshape(-1)  # as `interleave` orders them
        images = diffaugment(images, jax.random.fold_in(key, DISCRIMINATORS.index(name)), policy, rows)
    return forward(networks, config, name, {'params': params[name], COLLECTION: spectral[name]}, images)


def discriminator_objective(
    discriminator: Params,
    networks: Networks,
    config: ConfigDict,
    weights: Weights,
    real: Images,
    fake: Images,
    spectral: Params,
    augmentation: DiffAugment,
    penalty: Penalty | None = None,
) -> tuple[jax.Array, Metrics]:
    """The discriminators' total loss and its terms: D_ad_*, D_cam_* (unweighted), D_A, D_B, D (weighted sums).

    spectral: u and v of two forwards, on real and on fake images, leaf [2, n]. Without CAM in the discriminators there is
    no D_cam_*. With `penalty` there are the unweighted gradient penalties D_gp_* of patch logits and D_gpcam_* of CAM
    logits.
    """
    loss, metrics = config.loss, {}
    for name in DISCRIMINATORS:
        domain, short = domain_of(name), name.removeprefix('dis')
        images = interleave(real[domain], fake[domain])
        out = discriminate(networks, config, name, discriminator, spectral, images, augmentation)
        on_real, on_fake = deinterleave(out)
        metrics[f'D_ad_{short}'] = losses.discriminator_loss(on_real.logit, on_fake.logit, loss.adversarial)
        if config.model.discriminator_cam:
            metrics[f'D_cam_{short}'] = losses.discriminator_loss(on_real.cam_logit, on_fake.cam_logit, loss.adversarial)
        if penalty is not None:
            metrics |= discriminator_penalties(discriminator, networks, config, name, real, fake, augmentation, penalty)
    gradient_penalty_weight = weights['gradient_penalty_weight']
    kinds = {'ad': None, 'cam': None, 'gp': gradient_penalty_weight, 'gpcam': gradient_penalty_weight}
    for direction in reversed(DIRECTIONS):
        domain = target_of(direction)
        metrics[f'D_{domain}'] = weights[f'adversarial_weight_{direction}'] * sum(
            metrics[key] if weight is None else weight * metrics[key]
            for reach in 'GL'
            for kind, weight in kinds.items()
            if (key := f'D_{kind}_{reach}{domain}') in metrics
        )
    metrics['D'] = metrics['D_A'] + metrics['D_B'] + regularization(config, weights, discriminator)
    return metrics['D'], metrics


def discriminator_penalties(
    discriminator: Params,
    networks: Networks,
    config: ConfigDict,
    name: str,
    real: Images,
    fake: Images,
    augmentation: DiffAugment,
    penalty: Penalty,
) -> Metrics:
    """The unweighted gradient penalties of one discriminator, at points that both of its domain share."""
    kind, domain, short = config.loss.adversarial, domain_of(name), name.removeprefix('dis')
    key = jax.random.fold_in(penalty.key, 'AB'.index(domain))
    keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(augmentation.rows)

    def logits(images: jax.Array) -> dict[str, jax.Array]:
        out = discriminate(networks, config, name, discriminator, penalty.spectral, images, augmentation)
        cam = {f'D_gpcam_{short}': out.cam_logit} if config.model.discriminator_cam else {}
        return {f'D_gp_{short}': out.logit} | cam

    return losses.gradient_penalties(logits, losses.penalty_images(keys, real[domain], fake[domain], kind), kind)


def generator_objective(
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
    """The generators' total loss given the `outputs` of `generate`, and its terms: unweighted, and G_A, G_B, G (weighted).

    G_ad_* and G_adcam_* are named by discriminator, the others by the domain that is made: G_cam_B is genA2B's. G_adcam_*
    and G_cam_* are there where there is a CAM.
    """
    metrics = {}
    for there in DIRECTIONS:
        # the terms of one domain: the cycle that begins in it, and what the generator that makes it is judged by
        back, domain, other = reverse_of(there), source_of(there), target_of(there)
        name = generator_of(back)
        rec = forward(networks, config, name, {'params': generator[name]}, outputs[f'fake_{other}']).image
        adversarial = adversarial_terms(
            outputs[f'fake_{domain}'], networks, config, domain, discriminator, spectral, augmentation
        )
        metrics |= adversarial
        metrics[f'G_recon_{domain}'] = losses.cycle_loss(real[domain], rec)
        total = weights[f'cycle_weight_{there}'] * metrics[f'G_recon_{domain}']
        total += weights[f'adversarial_weight_{back}'] * sum(adversarial.values())
        if uses_identity(config):
            metrics[f'G_id_{domain}'] = losses.identity_loss(real[domain], outputs[f'idt_{domain}'])
            total += weights[f'identity_weight_{back}'] * metrics[f'G_id_{domain}']
            if config.model.generator_cam:
                metrics[f'G_cam_{domain}'] = losses.cam_loss(outputs[f'cam_fake_{domain}'], outputs[f'cam_idt_{domain}'])
                total += weights[f'cam_weight_{back}'] * metrics[f'G_cam_{domain}']
        metrics[f'G_{domain}'] = total
    metrics['G'] = metrics['G_A'] + metrics['G_B'] + regularization(config, weights, generator)
    return metrics['G'], metrics


def adversarial_terms(
    fake: jax.Array,
    networks: Networks,
    config: ConfigDict,
    domain: str,
    discriminator: Params,
    spectral: Params,
    augmentation: DiffAugment,
) -> Metrics:
    """G_ad_* and, with CAM in the discriminators, G_adcam_*: what the domain's discriminators say of fakes [B, h, w, C]."""
    terms = {}
    for reach in 'GL':
        short = f'{reach}{domain}'
        out = discriminate(networks, config, f'dis{short}', discriminator, spectral, fake, augmentation)
        terms[f'G_ad_{short}'] = losses.generator_loss(out.logit, config.loss.adversarial)
        if config.model.discriminator_cam:
            terms[f'G_adcam_{short}'] = losses.generator_loss(out.cam_logit, config.loss.adversarial)
    return terms


def regularization(config: ConfigDict, weights: Weights, params: Params) -> jax.Array | float:
    """weight_decay * sum(||kernel||^2) / 2 where the reference has it in the loss, else 0."""
    if config.optimizer.weight_decay_mode != 'kernel_l2':
        return 0.0
    return weights['weight_decay'] * losses.kernel_l2(params)
