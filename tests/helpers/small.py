"""The smallest config that all parts of a step fit, a batch for it, a small generator, and configs with some fields set."""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.generator import Generator
from ugatit_jax.models.networks import make_networks


def small_config(**fields: object) -> FrozenConfigDict:
    """Resolved, 32 pixels, batch 2, ch 2, 1 residual block; fields as training__remat=True."""
    config = default.get_config()
    config.data.image_size, config.data.batch_size, config.model.ch, config.model.n_res = 32, 2, 2, 1
    config.model.n_layers_global, config.model.n_layers_local = 4, 3
    return resolve(with_fields(config, **fields))


def small_generator(**fields: object) -> Generator:
    """genA2B at 32 pixels, ch 4, 1 residual block; fields as training__remat=True."""
    sizes = dict(data__image_size=32, model__ch=4, model__n_res=1, model__n_layers_global=5)
    return make_networks(resolve(default_config(**sizes | fields))).genA2B


def default_config(**fields: object) -> ConfigDict:
    """The default config, not resolved; fields as training__remat=True."""
    return with_fields(default.get_config(), **fields)


def with_fields(config: ConfigDict, **fields: object) -> ConfigDict:
    """`config` with fields set in place, named as training__remat."""
    for name, value in fields.items():
        group, _, field = name.rpartition('__')
        (config[group] if group else config)[field] = value
    return config


def random_batch(config: FrozenConfigDict, seed: int, size: int = 2) -> dict[str, jax.Array]:
    """{'A', 'B'} of noise, float32 [size, h, w, C] in [-1, 1]."""
    side, rng = config.data.image_size, np.random.default_rng(seed)
    shapes = {domain: (size, side, side, config.data[f'channels_{domain}']) for domain in 'AB'}
    return {domain: jnp.asarray(rng.uniform(-1, 1, shape), jnp.float32) for domain, shape in shapes.items()}
