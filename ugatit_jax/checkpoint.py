"""Orbax checkpoints of a run: the generators' weights as an item of their own, the rest of the state, the config.

WORKDIR/checkpoints/STEP/generators: {'raw': {genA2B, genB2A}, 'ema': the same or {}}, all that translation needs.
WORKDIR/checkpoints/STEP/training: discriminators, spectral vectors, optimisers, step and key.
WORKDIR/checkpoints/STEP/config: the resolved config as JSON.

A checkpoint that ugatit_jax.convert made may have no `training` (it was of generators alone), and its config has one more
entry, `converted`: the fields that the file decided. A run that continues from it is free in all others.
"""
import json
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers

from ugatit_jax.errors import UserError, first_line
from ugatit_jax.state import TrainState

HARMLESS = (  # may differ between a run and its continuation: they change neither the weights' shapes nor the batches
    'training.steps', 'training.log_every', 'training.checkpoint_every', 'training.keep_checkpoints',
    'training.preview_every', 'training.preview_images', 'training.scan_blocks', 'data.max_bad_fraction',
    'data.data_dir', 'data.download', 'data.cache_mb', 'data.cache_dir', 'data.workers', 'data.device_resident',
    'data.device_resident_mb')


class Checkpoints:
    """The checkpoints of one workdir; saving is asynchronous, and a half-written one is never seen."""

    def __init__(self, workdir: str, keep: int = 1):
        self.directory = epath.Path(workdir).resolve() / 'checkpoints'
        self.manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.LatestN(keep), enable_async_checkpointing=True))

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self.manager.latest_step()

    def save(self, state: TrainState, config: ConfigDict) -> None:
        """Starts to save the state; returns when the devices' arrays may be donated."""
        generators, training = separate(state)
        step = int(state.step)
        if step != self.latest():
            self.write(step, as_json(config), generators=generators, training=training)

    def write(self, step: int, config: dict[str, Any], **items: Any) -> None:
        """Starts to write the items of a checkpoint, each a tree of arrays."""
        self.manager.save(step, args=ocp.args.Composite(
            config=ocp.args.JsonSave(config), **{name: ocp.args.StandardSave(tree) for name, tree in items.items()}))

    def read_config(self, step: int) -> dict[str, Any]:
        """The config that a checkpoint was saved with, as nested dicts; raises UserError where it cannot be read."""
        try:
            return self.manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))['config']
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: not a checkpoint of ugatit_jax ({first_line(error)})') from error

    def restore(self, step: int, state: TrainState, config: ConfigDict) -> TrainState:
        """The state of a checkpoint, with the shapes and shardings of `state`; raises UserError if the run differs."""
        refuse_differences(self.read_config(step), as_json(config), f'{self.directory}/{step}')
        if not self.has(step, 'training'):
            raise UserError(
                f'{self.directory}/{step} has generators only, converted from a file without discriminators: it can '
                'translate but not be trained on; take another --workdir')

        def like(tree: Any) -> Any:
            return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)

        generators, training = separate(state)
        try:
            restored = self.manager.restore(step, args=ocp.args.Composite(
                generators=ocp.args.StandardRestore(like(generators)),
                training=ocp.args.StandardRestore(like(training))))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f'{self.directory}/{step} cannot be restored ({first_line(error)}); remove that folder to continue from '
                'the checkpoint before it') from error
        return state.replace(
            generator=restored['generators']['raw'], ema=restored['generators']['ema'], **restored['training'])

    def has(self, step: int, item: str) -> bool:
        """Whether a checkpoint has an item."""
        return (self.directory / str(step) / item).exists()

    def read(self, step: int, item: str, *keys: str) -> dict[str, Any]:
        """Some branches of an item as numpy arrays, whatever devices it was saved from; raises UserError."""
        args = ocp.args
        try:
            handler = ocp.PyTreeCheckpointHandler()
            tree = handler.metadata(self.directory / str(step) / item).tree
            wanted = {key: tree[key] for key in keys}
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            return self.manager.restore(step, args=args.Composite(
                **{item: args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)}))[item]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: {item} cannot be read ({first_line(error)})') from error

    def close(self) -> None:
        """Waits until everything is on disk."""
        self.manager.wait_until_finished()
        self.manager.close()


def separate(state: TrainState) -> tuple[dict[str, Any], dict[str, Any]]:
    """State as the two items of a checkpoint: generators, and everything else."""
    training = {name: getattr(state, name) for name in (
        'step', 'key', 'discriminator', 'spectral', 'generator_opt', 'discriminator_opt')}
    return {'raw': state.generator, 'ema': state.ema}, training


def as_json(config: ConfigDict) -> dict[str, Any]:
    """A config as what JSON keeps of it: nested dicts, tuples as lists."""
    return json.loads(config.to_json_best_effort())


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = '') -> dict[str, tuple[Any, Any]]:
    """Fields of two configs that differ: {'model.ch': (old, new)}, None where one has no such field."""
    result = {}
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            result |= differences(a, b, f'{prefix}{name}.')
        elif a != b:
            result[prefix + name] = (a, b)
    return result


def refuse_differences(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """Raises UserError with the fields in which a run cannot be continued as configured."""
    old = dict(old)
    decided = old.pop('converted', None)
    changed = {
        name: values for name, values in differences(old, new).items()
        if name not in HARMLESS and (decided is None or name in decided)}
    if changed:
        fields = ', '.join(f'{name} was {a!r}, is {b!r}' for name, (a, b) in changed.items())
        raise UserError(f'{where} was made by another run: {fields}; set them back, or take another --workdir')
