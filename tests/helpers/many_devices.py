"""Three steps of a small config in float64 on all devices: python -m tests.helpers.many_devices DEVICES OUT.npz FIELDS."""

import ast
import sys

import jax
import numpy as np

from tests.helpers.small import random_batch, small_config
from ugatit_jax.common import sharding
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step

BATCH = 8  # microbatches of two devices, and the shares of four, have 2 images each: see tests/conftest.py


def main(devices: int, path: str, fields: dict) -> None:
    """Writes the metrics of the last step to `path`."""
    sharding.MIN_SHARDED_ELEMENTS, sharding.KEEP_SHARDED_ELEMENTS = 64, 1024  # the networks are small
    config = small_config(
        data__batch_size=BATCH,
        augment__diffaugment='color,translation,cutout',
        training__compute_dtype='float64',
        **fields,
    )
    mesh = sharding.make_mesh(BATCH, config.training.accumulate)
    assert mesh.size == devices, mesh
    networks = make_networks(config)
    state_sharding = sharding.StateSharding(mesh, config.training.shard_params)
    state = init_state(networks, config, state_sharding)
    state = jax.tree.map(lambda x: x.astype(float) if x.dtype == 'float32' else x, state)
    sharded = [x for x in jax.tree.leaves(state.generator_opt) if not x.is_fully_replicated]
    assert bool(sharded) == config.training.shard_params
    step = jax.jit(
        make_train_step(networks, config, state_sharding.gather),
        donate_argnums=0,
        out_shardings=(state_sharding(state), sharding.replicated(mesh)),
    )
    for k in range(3):
        state, metrics = step(
            state, sharding.shard_batch(jax.device_get(random_batch(config, k, BATCH)), mesh), hyperparameters(config)
        )
    np.savez(path, **jax.device_get(metrics))


if __name__ == '__main__':
    main(int(sys.argv[1]), sys.argv[2], ast.literal_eval(sys.argv[3]))
