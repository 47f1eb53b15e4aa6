"""The smallest config that all parts of a step fit."""

from ml_collections import FrozenConfigDict

from configs import default
from ugatit_jax.config.resolve import resolve


def small_config(**fields: object) -> FrozenConfigDict:
    """Resolved, 32 pixels, ch 2, 1 residual block; fields as training__remat=True."""
    config = default.get_config()
    config.data.image_size, config.model.ch, config.model.n_res = 32, 2, 1
    config.model.n_layers_global, config.model.n_layers_local = 4, 3
    for name, value in fields.items():
        group, _, field = name.rpartition('__')
        (config[group] if group else config)[field] = value
    return resolve(config)
