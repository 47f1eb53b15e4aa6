"""One step of training as a pure function: discriminators on the current fakes, then generators against them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from ugatit_jax.compiler import after, optimization_barrier, row_major_layout
from ugatit_jax.config.derived import draws_per_step
from ugatit_jax.data.diffaugment import parse_policy
from ugatit_jax.models import losses
from ugatit_jax.models.networks import Networks
from ugatit_jax.models.spectral_norm import power_iteration_steps, select_group
from ugatit_jax.training.learning_rate import learning_rate
from ugatit_jax.training.objectives import (
    Augmentation,
    Images,
    Metrics,
    Penalty,
    discriminator_objective,
    generate,
    generator_objective,
)
from ugatit_jax.training.optimizer import make_optimizer
from ugatit_jax.training.state import Params, TrainState


def make_train_step(
    networks: Networks, config: ConfigDict, gather: Callable[[Params], Params] = lambda params: params
) -> Callable[[TrainState, Images], tuple[TrainState, Metrics]]:
    """The pure train_step(state, batch) -> (state, metrics), not jitted; config is resolved.

    batch is {'real_A', 'real_B'}, float [B, h, w, C] in [-1, 1], or [draws * B, h, w, C] where a step draws several times
    (see `draws_per_step`), an example's draws together. Metrics are scalars, means over the global batch: the losses that
    this step's gradients are of, of the discriminators' last update, the gradients' norms, and the learning rates that it
    used. `gather` makes parameters of those that the state keeps in pieces (see sharding.py).
    """
    optimizers = {kind: make_optimizer(config, kind) for kind in ('generator', 'discriminator')}
    schedules = {'learning_rate': learning_rate(config)}
    if config.optimizer.learning_rate_D is not None:
        schedules['learning_rate_D'] = learning_rate(config, 'discriminator')
    policy, parts, draws = parse_policy(config.augment.diffaugment), config.training.accumulate, draws_per_step(config)
    penalized = config.loss.adversarial in losses.PENALIZED

    def train_step(state: TrainState, batch: Images) -> tuple[TrainState, Metrics]:
        keys = jax.random.split(step_key(state, 1), 2) if policy else (None, None)
        *critic_batches, real = deal(batch, draws)
        generator = gather(state.generator)

        def fakes(real: Images) -> tuple[Images, Callable[[Images], tuple[Params]]]:
            return jax.vjp(lambda generator: generate(networks, config, generator, real), generator)

        # one forward of the generators serves both halves: they do not change in between. In several parts it is done
        # again, as the activations of all parts would have to be held
        shared = fakes(real) if parts == 1 else None

        def update_discriminators(
            kept: Params, spectral: Params, opt_state: optax.OptState, real: Images, outputs: Images | None, draw: Any
        ) -> tuple[tuple[Params, Params, optax.OptState], Metrics]:
            """One update on one batch: (discriminators as kept, spectral vectors, optimiser) afterwards, and metrics."""
            discriminator = gather(kept)
            # real, then fake, each after a power iteration of its own, as the PyTorch release runs them
            vectors, penalty = power_iteration_steps(discriminator, spectral, 3 if penalized else 2), None
            key = jax.random.fold_in(keys[0], draw) if policy and draws > 1 else keys[0]
            if penalized:
                third = jax.tree.map(lambda leaf: leaf[2:], vectors)
                penalty = Penalty(jax.random.fold_in(step_key(state, 2), draw), third)
            both = jax.tree.map(lambda leaf: leaf[:2], vectors)

            def gradients(real: Images) -> tuple[Params, Metrics]:
                made = outputs or generate(networks, config, generator, real, with_identity=False)
                fake = {domain: jax.lax.stop_gradient(made[f'fake_{domain}']) for domain in 'AB'}
                return jax.grad(discriminator_objective, has_aux=True)(
                    discriminator, networks, config, real, fake, both, Augmentation(policy, key, real['rows']), penalty
                )

            grads, metrics = accumulate_gradients(gradients, real, parts)
            grads = jax.tree.map(row_major_layout, grads)
            metrics |= gradient_norms(grads)
            updates, opt_state = optimizers['discriminator'].update(grads, opt_state, kept, metrics=metrics)
            return (optax.apply_updates(kept, updates), select_group(vectors, -1), opt_state), metrics

        critic = (state.discriminator, state.spectral, state.discriminator_opt)
        if critic_batches:  # on their own batches
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *critic_batches)
            critic, d_metrics = jax.lax.scan(
                lambda critic, x: update_discriminators(*critic, x[1], None, x[0]),
                critic,
                (jnp.arange(len(critic_batches)), stacked),
            )
            d_metrics = jax.tree.map(lambda x: x[-1], d_metrics)
        if not config.training.separate_batches:  # on the generators' batch
            critic, d_metrics = update_discriminators(*critic, real, shared and shared[0], draws - 1)
        new_discriminator, spectral, discriminator_opt = critic

        # generators, against the updated discriminators
        # optimization_barrier, or a GPU would convert weights for the convolutions in the update's program, which then is not in place; one
        # by one, as the first convolutions need not wait for the last update
        updated = gather(jax.tree.map(optimization_barrier, new_discriminator))
        vectors = power_iteration_steps(updated, spectral, 1)

        def generator_gradients(real: Images) -> tuple[Params, Metrics]:
            outputs, outputs_vjp = shared or fakes(real)
            outputs = after(optax.tree.get(discriminator_opt, 'ScaleByAdamState').count, outputs)
            (grads, outputs_grads), metrics = jax.grad(generator_objective, (0, 1), has_aux=True)(
                generator, outputs, networks, config, real, updated, vectors, Augmentation(policy, keys[1], real['rows'])
            )
            return jax.tree.map(jnp.add, grads, *outputs_vjp(outputs_grads)), metrics

        g_grads, g_metrics = accumulate_gradients(generator_gradients, real, parts)
        g_grads = jax.tree.map(row_major_layout, g_grads)
        g_metrics |= gradient_norms(g_grads)
        updates, generator_opt = optimizers['generator'].update(
            g_grads, state.generator_opt, state.generator, metrics=g_metrics
        )
        new_generator = clip_rho(optax.apply_updates(state.generator, updates))

        rates = {name: schedule(state.step) for name, schedule in schedules.items()}
        state = state.replace(
            step=state.step + 1,
            generator=new_generator,
            discriminator=new_discriminator,
            spectral=select_group(vectors),
            generator_opt=generator_opt,
            discriminator_opt=discriminator_opt,
            ema=average(config, state, new_generator),
        )
        return state, d_metrics | g_metrics | rates

    return train_step


def deal(batch: Images, draws: int) -> list[Images]:
    """{'real_A', 'real_B'} [draws * B, ...] as {'A', 'B', 'rows'} for each draw; rows are the places in its batch, [B]."""
    split = {domain: batch[f'real_{domain}'] for domain in 'AB'}
    split = {domain: x.reshape(-1, draws, *x.shape[1:]) for domain, x in split.items()}
    rows = jnp.arange(split['A'].shape[0])
    return [{domain: x[:, draw] for domain, x in split.items()} | {'rows': rows} for draw in range(draws)]


def gradient_norms(grads: Params) -> Metrics:
    """The norm of each network's gradient."""
    return {f'grad_norm_{name}': optax.global_norm(network) for name, network in grads.items()}


def average(config: ConfigDict, state: TrainState, generator: Params) -> Params:
    """The averaged generators after an update; {} where they are off. Warming up, young runs forget their start sooner."""
    if not config.training.ema_decay:
        return state.ema
    decay = config.training.ema_decay
    if config.training.ema_warmup:
        decay = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    return optax.incremental_update(generator, state.ema, 1 - decay)


def accumulate_gradients(function: Callable[[Any], Any], batch: Any, parts: int) -> Any:
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
    """The random key of this step for one use of it: 0 the augmentation of images, 1 that of discriminator inputs,
    2 the points of gradient penalties.
    """
    return jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step), use)
