"""One step of training as a pure function: update the discriminators on the current fakes, then the generators."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.config.derived import draws_per_step, parse_policy, uses_discriminators
from ugatit_jax.models.names import PENALIZED
from ugatit_jax.models.networks import Networks
from ugatit_jax.models.spectral_norm import power_iteration_steps, select_group
from ugatit_jax.training.distill_objectives import distill_objective, teach
from ugatit_jax.training.gradient_accumulation import accumulate_gradients
from ugatit_jax.training.hyperparameters import Hyperparameters
from ugatit_jax.training.learning_rate import learning_rate
from ugatit_jax.training.objectives import (
    DiffAugment,
    Penalty,
    discriminator_objective,
    generate,
    generator_objective,
)
from ugatit_jax.training.optimizer import apply_gradients, depend_on_update, make_optimizers, updated_weights
from ugatit_jax.training.rho import clip_rho
from ugatit_jax.training.state import TrainState, step_key
from ugatit_jax.training.types import Images, Metrics, Params

# uses of a step's random key, see `step_key`; 0 is the augmentation of images, in inputs.py
DIFFAUGMENT_KEY, PENALTY_KEY = 1, 2


class Discriminators(NamedTuple):
    """The part of the train state that an update of the discriminators changes."""

    params: Params
    spectral: Params  # u and v
    opt_state: optax.OptState


def make_train_step(
    networks: Networks,
    config: ConfigDict,
    gather: Callable[[Params], Params] = lambda params: params,
    teacher: Networks | None = None,
) -> Callable[[TrainState, Images, Hyperparameters], tuple[TrainState, Metrics]]:
    """The pure train_step(state, batch, hyperparameters) -> (state, metrics), not jitted; config is resolved.

    batch is {'A', 'B'}, float [B, h, w, C] in [-1, 1], or [draws * B, h, w, C] where a step draws several batches (see
    `split_draws`). Metrics are scalars, means over the global batch: the losses whose gradients the step took (the
    discriminators' of their last update), the norms of the gradients, and the learning rates. gather(params) makes
    sharded parameters whole (sharding.py). With a teacher, whose weights are in the hyperparameters, the generators learn
    its translations (distill_objectives.py).
    """
    microbatches, policy, draws = (
        config.training.accumulate,
        parse_policy(config.augment.diffaugment),
        draws_per_step(config),
    )
    penalized, judged = config.loss.adversarial in PENALIZED, uses_discriminators(config)

    def train_step(state: TrainState, batch: Images, hyperparameters: Hyperparameters) -> tuple[TrainState, Metrics]:
        optimizers, weights = make_optimizers(config, hyperparameters), hyperparameters.weights
        *critic_batches, real = split_draws(batch, draws)
        d_key, g_key = jax.random.split(step_key(state, DIFFAUGMENT_KEY), 2) if policy else (None, None)
        generator = gather(state.generator)

        # forward: once for both updates, as the generators change in neither of them before their own gradients are
        # taken. With microbatches it is recomputed, as the activations of all of them would have to be kept
        def forward(real: Images) -> tuple[Images, Callable[[Images], tuple[Params]]]:
            return jax.vjp(lambda generator: generate(networks, config, generator, real), generator)

        shared = forward(real) if microbatches == 1 else None

        # discriminators: on their own batches (n_critic), then on the generators' one
        def update_discriminators(
            old: Discriminators, real: Images, outputs: Images | None, draw: Any
        ) -> tuple[Discriminators, Metrics]:
            discriminator = gather(old.params)
            # u and v of three forwards: on real images, on fakes, and on the points of a gradient penalty
            vectors, penalty = power_iteration_steps(discriminator, old.spectral, 3 if penalized else 2), None
            if penalized:
                third = jax.tree.map(lambda leaf: leaf[2:], vectors)
                penalty = Penalty(jax.random.fold_in(step_key(state, PENALTY_KEY), draw), third)
            both = jax.tree.map(lambda leaf: leaf[:2], vectors)
            key = jax.random.fold_in(d_key, draw) if policy and draws > 1 else d_key

            def gradients(real: Images, rows: jax.Array) -> tuple[Params, Metrics]:
                made = outputs or generate(networks, config, generator, real, with_identity=False)
                fake = {domain: jax.lax.stop_gradient(made[f'fake_{domain}']) for domain in 'AB'}
                diffaugment = DiffAugment(policy, key, rows)
                return jax.grad(discriminator_objective, has_aux=True)(
                    discriminator, networks, config, weights, real, fake, both, diffaugment, penalty
                )

            grads, metrics = accumulate_gradients(gradients, real, microbatches)
            params, opt_state, norms = apply_gradients(
                optimizers['discriminator'], grads, old.opt_state, old.params, metrics
            )
            return Discriminators(params, select_group(vectors, -1), opt_state), metrics | norms

        discriminators, d_metrics = Discriminators(state.discriminator, state.spectral, state.discriminator_opt), {}
        if judged and critic_batches:
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *critic_batches)
            discriminators, d_metrics = jax.lax.scan(
                lambda old, x: update_discriminators(old, x[1], None, x[0]),
                discriminators,
                (jnp.arange(len(critic_batches)), stacked),
            )
            d_metrics = jax.tree.map(lambda x: x[-1], d_metrics)
        if judged and not config.training.separate_batches:
            discriminators, d_metrics = update_discriminators(discriminators, real, shared and shared[0], draws - 1)

        # generators, against the updated discriminators
        updated = vectors = None
        if judged:
            updated = updated_weights(discriminators.params, gather)
            vectors = power_iteration_steps(updated, discriminators.spectral, 1)

        def generator_gradients(real: Images, rows: jax.Array) -> tuple[Params, Metrics]:
            outputs, outputs_vjp = shared or forward(real)
            outputs = depend_on_update(outputs, discriminators.opt_state)
            diffaugment = DiffAugment(policy, g_key, rows)
            objective = generator_objective
            if teacher is not None:
                targets = teach(teacher, config, hyperparameters.teacher, real)
                objective = partial(distill_objective, teacher, hyperparameters.teacher, targets)
            (grads, outputs_grads), metrics = jax.grad(objective, (0, 1), has_aux=True)(
                generator, outputs, networks, config, weights, real, updated, vectors, diffaugment
            )
            return jax.tree.map(jnp.add, grads, *outputs_vjp(outputs_grads)), metrics

        grads, g_metrics = accumulate_gradients(generator_gradients, real, microbatches)
        new_generator, generator_opt, norms = apply_gradients(
            optimizers['generator'], grads, state.generator_opt, state.generator, g_metrics
        )
        new_generator = clip_rho(new_generator)  # paper, equation 2

        metrics = d_metrics | g_metrics | norms | learning_rates(config, hyperparameters, state.step)
        state = state.replace(
            step=state.step + 1,
            generator=new_generator,
            discriminator=discriminators.params,
            spectral=select_group(vectors) if judged else state.spectral,
            generator_opt=generator_opt,
            discriminator_opt=discriminators.opt_state,
            ema=update_ema(config, state, new_generator),
        )
        return state, metrics

    return train_step


def split_draws(batch: Images, draws: int) -> list[Images]:
    """{'A', 'B'} [draws * B, ...], the draws of an example together, as one {'A', 'B'} [B, ...] for each draw."""
    split = {domain: x.reshape(-1, draws, *x.shape[1:]) for domain, x in batch.items()}
    return [{domain: x[:, draw] for domain, x in split.items()} for draw in range(draws)]


def learning_rates(config: ConfigDict, hyperparameters: Hyperparameters, step: jax.Array) -> Metrics:
    """The rates of the step after `step` steps; the discriminators' where they have their own."""
    rates = {'learning_rate': 'generator'}
    if config.optimizer.learning_rate_D is not None:
        rates['learning_rate_D'] = 'discriminator'
    return {name: learning_rate(config, hyperparameters.schedules[kind], step) for name, kind in rates.items()}


def update_ema(config: ConfigDict, state: TrainState, generator: Params) -> Params:
    """The averaged generators after an update; {} where training.ema_decay is 0.

    With training.ema_warmup the decay is (1 + step) / (10 + step) at most, as TensorFlow's ExponentialMovingAverage has it.
    """
    decay = config.training.ema_decay
    if not decay:
        return state.ema
    if config.training.ema_warmup:
        decay = jnp.minimum(decay, (1 + state.step) / (10 + state.step))
    return optax.incremental_update(generator, state.ema, 1 - decay)
