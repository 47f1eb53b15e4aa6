"""A new run from the weights of another: fine-tuning (config.init_from)."""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json, differences
from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators
from ugatit_jax.common.errors import UserError, listed
from ugatit_jax.models.names import GENERATORS
from ugatit_jax.training.state import TrainState

logger = logging.getLogger(__name__)

NAMED = 3  # differing arrays that a refusal names


def read_start(path: str, shapes: TrainState, config: ConfigDict) -> dict[str, Any]:
    """The weights of WORKDIR or WORKDIR/checkpoints/STEP at `path` for a state of `shapes`, by its fields, as numpy.

    Generators are the averaged ones where there are some. Discriminators and their u and v come with them, but not from a
    converted checkpoint that has none. Raises UserError that names arrays of other shapes and the settings that differ.
    """
    source = load_generators(path)
    if missing := [name for name in GENERATORS if name not in source.generator]:
        raise UserError(f'init_from={path}: {source.where} has no {missing[0]}; a run needs both generators')
    weights = {'generator': source.generator} | read_discriminators(source)
    validate_shapes({name: getattr(shapes, name) for name in weights}, weights, source, config)
    logger.info(
        'starting from %s generators of %s, %s discriminators; fresh optimizers, step 0',
        source.weights,
        source.where,
        'its' if 'discriminator' in weights else 'fresh: it has no',
    )
    if fields := settings(source, config):  # shapes are equal, what is computed with them is not
        logger.warning('settings that differ from those of %s: %s', source.where, fields)
    return weights


def start_from(weights: dict[str, Any], state: TrainState, config: ConfigDict) -> TrainState:
    """`state`, a fresh one, with weights of `read_start`; the average, if any, starts there. The rest stays fresh."""
    state = state.replace(**{name: jax.tree.map(put, getattr(state, name), tree) for name, tree in weights.items()})
    # a copy: the step donates its state, and a buffer cannot be donated twice
    return state.replace(ema=jax.tree.map(jnp.copy, state.generator)) if config.training.ema_decay else state


def read_discriminators(source: LoadedGenerators) -> dict[str, Any]:
    """{'discriminator', 'spectral'} of a checkpoint as numpy; {} where it has generators only, as a model folder has."""
    if source.workdir is None:
        return {}
    checkpoints = Checkpoints(source.workdir)
    try:
        if not checkpoints.has(source.step, 'training'):
            return {}
        return checkpoints.read(source.step, 'training', 'discriminator', 'spectral')
    finally:
        checkpoints.close()


def put(like: jax.Array, value: np.ndarray) -> jax.Array:
    """`value` where `like` is, and of its type; every process has all of it."""
    value = np.asarray(value, like.dtype)
    return jax.make_array_from_callback(like.shape, like.sharding, lambda index: value[index])


def validate_shapes(wanted: Any, found: Any, source: LoadedGenerators, config: ConfigDict) -> None:
    """Raises UserError if two trees of arrays differ in names or shapes."""

    def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
        return {
            '/'.join(str(key.key) for key in path[1:]): tuple(leaf.shape) for path, leaf in jax.tree.leaves_with_path(tree)
        }

    ours, theirs = shapes(wanted), shapes(found)
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    if not names:
        return
    arrays = [f'{name} is {ours.get(name, "absent")} here, {theirs.get(name, "absent")} there' for name in names]
    raise UserError(
        f'init_from: {source.where} does not fit: {listed(arrays, NAMED)}; set what it was trained with: '
        f'{settings(source, config)}, or start without init_from'
    )


def settings(source: LoadedGenerators, config: ConfigDict) -> str:
    """Fields of the model and of its images in which a checkpoint differs from `config`: 'model.ch=32 (is 64)'."""
    here, there = (
        {
            'model': tree['model'],
            'data': {name: tree['data'][name] for name in ('image_size', 'channels_A', 'channels_B')},
        }
        for tree in (as_json(config), as_json(source.config))
    )
    return ', '.join(f'{name}={b!r} (is {a!r})' for name, (a, b) in differences(here, there).items())
