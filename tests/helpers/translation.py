"""A tiny checkpoint to translate with, shared by the tests of that."""

import pathlib

import jax
import numpy as np

from configs import default
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.networks import make_networks

STEP = 7


def write_checkpoint(workdir: pathlib.Path, **fields) -> str:
    """A checkpoint with random weights of a generator for 16 x 16 images; fields: 'model__ch'. Returns the workdir.

    Averaged weights are the raw ones with the heads' turned round, so that the two differ in every image.
    """
    config = default.get_config()
    config.data.image_size, config.model.ch, config.model.n_res, config.training.ema_decay = 16, 2, 1, 0.9
    config.model.n_layers_global = config.model.n_layers_local = 2
    config.loss.identity_weight = config.loss.cam_weight = 0.0  # domains may differ in channels
    for name, value in fields.items():
        block, field = name.split('__')
        config[block][field] = value
    config = resolve(config)
    networks, generators = make_networks(config), {}
    rng = np.random.default_rng(0)
    for name, channels in (('genA2B', config.data.channels_A), ('genB2A', config.data.channels_B)):
        x = jax.ShapeDtypeStruct((1, 16, 16, channels), np.float32)
        shapes = jax.eval_shape(networks.module(name).init, jax.random.key(0), x)['params']
        generators[name] = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    averaged = {name: net | {'head': jax.tree.map(np.negative, net['head'])} for name, net in generators.items()}
    items = {'raw': generators, 'ema': averaged if config.training.ema_decay else {}}
    checkpoints = Checkpoints(str(workdir))
    checkpoints.write(STEP, as_json(config), generators=jax.tree.map(jax.numpy.asarray, items))
    checkpoints.close()
    return str(workdir)


def noise_image(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 [height, width, channels]: noise beside a dark, flatter half, so that parts differ in their statistics."""
    x = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    x[:, : width // 2] //= 4
    return x
