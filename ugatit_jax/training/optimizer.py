"""Adam of the generators and of the discriminators, as the releases have it."""

import optax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.compiler import scale_by_adam
from ugatit_jax.training.learning_rate import learning_rate


def make_optimizer(config: ConfigDict, kind: str = 'generator') -> optax.GradientTransformationExtraArgs:
    """Adam of generators or discriminators, with eps as PyTorch and the paper have it.

    For 'coupled' decay torch's L2 term is in every gradient, after clipping. `update` wants `metrics`, see order.py.
    """
    o, schedule = config.optimizer, learning_rate(config, kind)
    adam = scale_by_adam(o.beta1, o.beta2, o.eps)
    clip = [optax.clip_by_global_norm(o.clip_norm)] if o.clip_norm else []
    decay = [optax.add_decayed_weights(o.weight_decay)] if o.weight_decay_mode == 'coupled' else []
    updates = config.training.n_critic if kind == 'discriminator' else 1  # a step
    rate = schedule if updates == 1 else lambda count: schedule(count // updates)
    return optax.chain(*clip, *decay, adam, optax.scale_by_learning_rate(rate))
