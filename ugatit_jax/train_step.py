"""One step of training as a pure function: discriminators on the current fakes, then generators against them."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ugatit_jax.data.diffaugment import parse_policy
from ugatit_jax.models.spectral_norm import advance
from ugatit_jax.networks import DISCRIMINATORS, Networks
from ugatit_jax.objectives import (
    Augmentation,
    Images,
    Metrics,
    discriminator_objective,
    generate,
    generator_objective,
)
from ugatit_jax.state import Params, TrainState, learning_rate, make_optimizer


def make_train_step(
    networks: Networks, config: ConfigDict, gather: Callable[[Params], Params] = lambda params: params
) -> Callable[[TrainState, Images], tuple[TrainState, Metrics]]:
    """The pure train_step(state, batch) -> (state, metrics), not jitted; config is resolved.

    batch is {'real_A', 'real_B'}, float [B, h, w, C] in [-1, 1]. Metrics are scalars, means over the global batch: the
    losses that this step's gradients are of, the gradients' norms, and the learning rate that it used. `gather` makes
    parameters of those that the state keeps in pieces (see sharding.py).
    """
    optimizer, schedule = make_optimizer(config), learning_rate(config)
    policy, parts = parse_policy(config.augment.diffaugment), config.training.accumulate

    def train_step(state: TrainState, batch: Images) -> tuple[TrainState, Metrics]:
        keys = jax.random.split(step_key(state, 1), 2) if policy else (None, None)
        real = {domain: batch[f'real_{domain}'] for domain in 'AB'}
        real['rows'] = jnp.arange(real['A'].shape[0])
        generator = gather(state.generator)

        def fakes(real: Images) -> tuple[Images, Callable[[Images], tuple[Params]]]:
            return jax.vjp(lambda generator: generate(networks, config, generator, real), generator)

        # one forward of the generators serves both halves: they do not change in between. In several parts it is done
        # again, as the activations of all parts would have to be held
        shared = fakes(real) if parts == 1 else None

        # discriminators: real, then fake, each after a power iteration of its own, as the PyTorch release runs them
        discriminator = gather(state.discriminator)
        spectral_real = advance_all(discriminator, state.spectral)
        spectral_fake = advance_all(discriminator, spectral_real)

        def discriminator_gradients(real: Images) -> tuple[Params, Metrics]:
            outputs = shared[0] if shared else generate(networks, config, generator, real)
            fake = {domain: jax.lax.stop_gradient(outputs[f'fake_{domain}']) for domain in 'AB'}
            return jax.grad(discriminator_objective, has_aux=True)(
                discriminator, networks, config, real, fake, spectral_real, spectral_fake,
                Augmentation(policy, keys[0], real['rows']))

        d_grads, d_metrics = mean_over_parts(discriminator_gradients, real, parts)
        updates, discriminator_opt = optimizer.update(d_grads, state.discriminator_opt, state.discriminator)
        new_discriminator = optax.apply_updates(state.discriminator, updates)

        # generators, against the updated discriminators
        updated = gather(new_discriminator)
        spectral = advance_all(updated, spectral_fake)

        def generator_gradients(real: Images) -> tuple[Params, Metrics]:
            outputs, outputs_vjp = shared or fakes(real)
            (grads, outputs_grads), metrics = jax.grad(generator_objective, (0, 1), has_aux=True)(
                generator, outputs, networks, config, real, updated, spectral,
                Augmentation(policy, keys[1], real['rows']))
            return jax.tree.map(jnp.add, grads, *outputs_vjp(outputs_grads)), metrics

        g_grads, g_metrics = mean_over_parts(generator_gradients, real, parts)
        updates, generator_opt = optimizer.update(g_grads, state.generator_opt, state.generator)
        new_generator = clip_rho(optax.apply_updates(state.generator, updates))

        ema = state.ema
        if config.training.ema_decay:
            ema = optax.incremental_update(new_generator, ema, 1 - config.training.ema_decay)
        state = state.replace(
            step=state.step + 1, generator=new_generator, discriminator=new_discriminator, spectral=spectral,
            generator_opt=generator_opt, discriminator_opt=discriminator_opt, ema=ema)
        norms = {f'grad_norm_{name}': optax.global_norm(grads) for name, grads in (d_grads | g_grads).items()}
        return state, d_metrics | g_metrics | norms | {'learning_rate': schedule(state.step - 1)}

    return train_step


def mean_over_parts(function: Callable[[Any], Any], batch: Any, parts: int) -> Any:
    """Mean of function(part) over `parts` equal parts of a tree of [B, ...], one after another.

    Part p has the rows p, p + parts, ...: so each device keeps the rows that it has.
    """
    if parts == 1:
        return function(batch)
    split = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch)
    first = jax.tree.map(lambda x: x[0], split)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, first))
    total, _ = jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, function(part)), None), zeros, split)
    return jax.tree.map(lambda x: x / parts, total)


def clip_rho(params: Params) -> Params:
    """Every rho of AdaLIN and LIN clipped to [0, 1] (paper, equation 2); other leaves as they are."""
    def clip(path: tuple, leaf: jax.Array) -> jax.Array:
        return optax.projections.projection_box(leaf, 0, 1) if path[-1].key == 'rho' else leaf
    return jax.tree.map_with_path(clip, params)


def step_key(state: TrainState, use: int) -> jax.Array:
    """The random key of this step for one use of it: 0 the augmentation of pictures, 1 that of discriminator inputs."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step), use)


def advance_all(discriminator: Params, spectral: Params) -> Params:
    """One power iteration of every discriminator's normalised kernels."""
    return {name: advance(discriminator[name], spectral[name]) for name in DISCRIMINATORS}
