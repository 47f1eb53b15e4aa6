"""One step of training as a pure function: discriminators on the current fakes, then generators against them."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ugatit_jax import losses
from ugatit_jax.data.diffaugment import diffaugment, parse_policy
from ugatit_jax.models import DiscriminatorOutput
from ugatit_jax.models.spectral_norm import COLLECTION, advance, grouped
from ugatit_jax.networks import DISCRIMINATORS, Networks
from ugatit_jax.state import Params, TrainState, learning_rate, make_optimizer

Metrics = dict[str, jax.Array]
Images = dict[str, jax.Array]


def pair(a: jax.Array, b: jax.Array) -> jax.Array:
    """[B, ...] and [B, ...] -> [2B, ...] in turn, so that an example's rows stay on its device."""
    return jnp.stack([a, b], axis=1).reshape(-1, *a.shape[1:])


def unpair(x: Any) -> tuple[Any, Any]:
    """Tree of [2B, ...] -> two trees of [B, ...]; the inverse of `pair`."""
    split = jax.tree.map(lambda leaf: leaf.reshape(-1, 2, *leaf.shape[1:]), x)
    return jax.tree.map(lambda leaf: leaf[:, 0], split), jax.tree.map(lambda leaf: leaf[:, 1], split)


def generate(networks: Networks, generator: Params, real: Images, with_identity: bool) -> dict[str, jax.Array]:
    """Fakes, identities and their CAM logits; calls of the same weights share a batch.

    real {'A', 'B'} [B, h, w, C] in [-1, 1] -> fake_A, fake_B, idt_A, idt_B [B, h, w, C], cam_* [B, 2] of each.
    """
    outputs = {}
    for source, target in (('A', 'B'), ('B', 'A')):
        apply = networks.module(name := f'gen{source}2{target}').apply
        if with_identity:
            fake, idt = unpair(apply({'params': generator[name]}, pair(real[source], real[target])))
            outputs |= {f'idt_{target}': idt.image, f'cam_idt_{target}': idt.cam_logit}
        else:  # domains of different channels have no identity
            fake = apply({'params': generator[name]}, real[source])
        outputs |= {f'fake_{target}': fake.image, f'cam_fake_{target}': fake.cam_logit}
    return outputs


def discriminate(
    networks: Networks, name: str, params: Params, images: jax.Array, *spectral: Params,
    policy: tuple[str, ...] = (), key: jax.Array | None = None,
) -> DiscriminatorOutput:
    """Discriminator `name` on images [B, h, w, C], with the spectral vectors of one forward for each part of them.

    Where there is a DiffAugment policy, it is applied to the images first, differently for each discriminator.
    """
    if policy:
        images = diffaugment(images, jax.random.fold_in(key, DISCRIMINATORS.index(name)), policy)
    return networks.module(name).apply({'params': params[name], COLLECTION: grouped(*spectral)}, images)


def discriminator_objective(
    discriminator: Params, networks: Networks, config: ConfigDict, real: Images, fake: Images,
    spectral_real: Params, spectral_fake: Params, policy: tuple[str, ...], key: jax.Array | None,
) -> tuple[jax.Array, Metrics]:
    """The discriminators' total loss and its terms D_ad_*, D_cam_* (unweighted), D_A, D_B, D (weighted sums)."""
    metrics = {}
    for name in DISCRIMINATORS:
        domain, short = name[-1], name[3:]
        out = discriminate(
            networks, name, discriminator, pair(real[domain], fake[domain]), spectral_real[name], spectral_fake[name],
            policy=policy, key=key)
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
    discriminator: Params, spectral: Params, policy: tuple[str, ...], key: jax.Array | None,
) -> tuple[jax.Array, Metrics]:
    """The generators' total loss given their first outputs, and its terms: unweighted, and G_A, G_B, G (weighted).

    G_ad_*, G_adcam_* are named by discriminator, the others by the domain that is made: G_cam_B is genA2B's.
    """
    weights, metrics = config.loss, {}
    for domain, other in (('A', 'B'), ('B', 'A')):
        back = f'gen{other}2{domain}'
        rec = networks.module(back).apply({'params': generator[back]}, outputs[f'fake_{other}']).image
        for reach in 'GL':
            name = f'dis{reach}{domain}'
            out = discriminate(
                networks, name, discriminator, outputs[f'fake_{domain}'], spectral[name], policy=policy, key=key)
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


def clip_rho(params: Params) -> Params:
    """Every rho of AdaLIN and LIN clipped to [0, 1] (paper, equation 2); other leaves as they are."""
    def clip(path: tuple, leaf: jax.Array) -> jax.Array:
        return optax.projections.projection_box(leaf, 0, 1) if path[-1].key == 'rho' else leaf
    return jax.tree.map_with_path(clip, params)


def make_train_step(networks: Networks, config: ConfigDict) -> Callable[[TrainState, Images], tuple[TrainState, Metrics]]:
    """The pure train_step(state, batch) -> (state, metrics), not jitted; config is resolved.

    batch is {'real_A', 'real_B'}, float [B, h, w, C] in [-1, 1]. Metrics are scalars, means over the global batch: the
    losses that this step's gradients are of, and the learning rate that it used.
    """
    optimizer, schedule = make_optimizer(config), learning_rate(config)
    policy = parse_policy(config.augment.diffaugment)

    def train_step(state: TrainState, batch: Images) -> tuple[TrainState, Metrics]:
        real = {domain: batch[f'real_{domain}'] for domain in 'AB'}
        augment_keys = jax.random.split(step_key(state, 1), 2) if policy else (None, None)

        # one forward of the generators serves both halves: they do not change in between
        outputs, outputs_vjp = jax.vjp(
            lambda generator: generate(networks, generator, real, uses_identity(config)), state.generator)
        fake = {domain: jax.lax.stop_gradient(outputs[f'fake_{domain}']) for domain in 'AB'}

        # discriminators: real, then fake, each after a power iteration of its own, as the PyTorch release runs them
        spectral_real = advance_all(state.discriminator, state.spectral)
        spectral_fake = advance_all(state.discriminator, spectral_real)
        (_, d_metrics), d_grads = jax.value_and_grad(discriminator_objective, has_aux=True)(
            state.discriminator, networks, config, real, fake, spectral_real, spectral_fake, policy, augment_keys[0])
        updates, discriminator_opt = optimizer.update(d_grads, state.discriminator_opt, state.discriminator)
        discriminator = optax.apply_updates(state.discriminator, updates)

        # generators, against the updated discriminators
        spectral = advance_all(discriminator, spectral_fake)
        (_, g_metrics), (g_grads, outputs_grads) = jax.value_and_grad(generator_objective, (0, 1), has_aux=True)(
            state.generator, outputs, networks, config, real, discriminator, spectral, policy, augment_keys[1])
        g_grads = jax.tree.map(jnp.add, g_grads, *outputs_vjp(outputs_grads))
        updates, generator_opt = optimizer.update(g_grads, state.generator_opt, state.generator)
        generator = clip_rho(optax.apply_updates(state.generator, updates))

        ema = state.ema
        if config.training.ema_decay:
            ema = optax.incremental_update(generator, ema, 1 - config.training.ema_decay)
        state = state.replace(
            step=state.step + 1, generator=generator, discriminator=discriminator, spectral=spectral,
            generator_opt=generator_opt, discriminator_opt=discriminator_opt, ema=ema)
        return state, d_metrics | g_metrics | {'learning_rate': schedule(state.step - 1)}

    return train_step


def step_key(state: TrainState, use: int) -> jax.Array:
    """The random key of this step for one use of it: 0 the augmentation of pictures, 1 that of discriminator inputs."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step), use)


def advance_all(discriminator: Params, spectral: Params) -> Params:
    """One power iteration of every discriminator's normalised kernels."""
    return {name: advance(discriminator[name], spectral[name]) for name in DISCRIMINATORS}
