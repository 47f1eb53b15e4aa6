"""A tiny checkpoint, images, and the command: what tests of translation share."""

import os
import pathlib

import jax
import numpy as np

from configs import default
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.config.resolve import resolve
from ugatit_jax.models.names import DIRECTIONS, generator_of, source_of
from ugatit_jax.models.networks import make_networks
from ugatit_jax.translate.__main__ import main

STEP = 7


def write_checkpoint(workdir: pathlib.Path, **fields) -> str:
    """Writes a checkpoint of generators with random weights for 16 x 16 images; fields: 'model__ch'. Returns the workdir.

    Averaged weights are the raw ones with negated heads, so that the two differ in every image.
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
    for direction in DIRECTIONS:
        name = generator_of(direction)
        x = jax.ShapeDtypeStruct((1, 16, 16, config.data[f'channels_{source_of(direction)}']), np.float32)
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


def run_translate(
    workdir: str, source: pathlib.Path | list[pathlib.Path], output: pathlib.Path, *flags: str, direction: str = 'a2b'
) -> int:
    """The command on one source or several; returns its exit code."""
    sources = source if isinstance(source, list) else [source]
    return main(
        [
            f'--checkpoint={workdir}',
            '--input',
            *map(str, sources),
            f'--output={output}',
            f'--direction={direction}',
            *flags,
        ]
    )


def list_files(folder: pathlib.Path) -> list[str]:
    """All files below a folder, by their paths from there, sorted."""
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)
