"""Adam of the generators and of the discriminators, and one update with it."""

from collections.abc import Callable

import jax
import optax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.compiler import depend_on, optimization_barrier, row_major_layout, scale_by_adam
from ugatit_jax.training.hyperparameters import KINDS, Hyperparameters
from ugatit_jax.training.learning_rate import learning_rate
from ugatit_jax.training.types import Metrics, Params


def make_optimizers(
    config: ConfigDict, hyperparameters: Hyperparameters
) -> dict[str, optax.GradientTransformationExtraArgs]:
    """The optimizers of both KINDS."""
    return {kind: make_optimizer(config, hyperparameters, kind) for kind in KINDS}


def make_optimizer(config: ConfigDict, hyperparameters: Hyperparameters, kind: str) -> optax.GradientTransformationExtraArgs:
    """Adam of one of KINDS. With 'coupled' decay torch's L2 term is added to every gradient, after clipping.

    `update` takes `metrics`, see compiler.scale_by_adam.
    """
    o, schedule, weight_decay = config.optimizer, hyperparameters.schedules[kind], hyperparameters.weights['weight_decay']
    adam = scale_by_adam(o.beta1, o.beta2, o.eps, o.eps_mode)
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    decay = [optax.add_decayed_weights(weight_decay)] if o.weight_decay_mode == 'coupled' else []
    updates_per_step = config.training.n_critic if kind == 'discriminator' else 1

    def rate(updates: jax.Array) -> jax.Array:
        return learning_rate(config, schedule, updates // updates_per_step)

    return optax.chain(*clip, *decay, adam, optax.scale_by_learning_rate(rate))


def apply_gradients(
    optimizer: optax.GradientTransformationExtraArgs,
    grads: Params,
    opt_state: optax.OptState,
    params: Params,
    metrics: Metrics,
) -> tuple[Params, optax.OptState, Metrics]:
    """One update: (params, opt_state, {'grad_norm_NETWORK'} of the gradients); `metrics` are computed before it."""
    grads = jax.tree.map(row_major_layout, grads)
    norms = {f'grad_norm_{name}': optax.global_norm(network) for name, network in grads.items()}
    updates, opt_state = optimizer.update(grads, opt_state, params, metrics=metrics | norms)
    return optax.apply_updates(params, updates), opt_state, norms


def updated_weights(params: Params, gather: Callable[[Params], Params]) -> Params:
    """Weights that were just updated, for the next forward pass: gathered, and apart from the update's kernels.

    Without the barriers a GPU would convert weights for convolutions in the kernel of the update, which then is not in
    place. One for each leaf: the first convolutions need not wait for the last update.
    """
    return gather(jax.tree.map(optimization_barrier, params))


def depend_on_update(outputs: dict[str, jax.Array], opt_state: optax.OptState) -> dict[str, jax.Array]:
    """`outputs` behind the update that made `opt_state`: on a CPU the other forward passes would start before, in memory."""
    return depend_on(optax.tree.get(opt_state, 'ScaleByAdamState').count, outputs)
