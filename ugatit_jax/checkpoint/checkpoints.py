"""Orbax checkpoints of a run. Each has these items, as folders of WORKDIR/checkpoints/STEP/:

- generators: {'raw': {genA2B, genB2A}, 'ema': the same or {}}, all that translation needs.
- training: discriminators, u and v, optimizer states, step and key.
- config: the resolved config as JSON.
- metrics: what training.keep_best may compare, as JSON.

A checkpoint made by ugatit_jax.convert has no `training` where the file had generators only, and its config has one more
entry, `converted`: the fields that follow from the file. A run that continues from it may change all others.
"""

import contextlib
import functools
from collections.abc import Iterator
from operator import getitem
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax.traverse_util import unflatten_dict
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers

from ugatit_jax.checkpoint.best_step import badness, best_step
from ugatit_jax.checkpoint.compatibility import as_json, complete, differences, validate_same_run
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.sharding import StateSharding


class Checkpoints:
    """The checkpoints of one workdir. Saves are asynchronous and atomic: a checkpoint is there when it is complete."""

    def __init__(self, workdir: str, keep: int = 1, keep_every: int = 0, best: str = '', clean: bool = False):
        """Keeps the newest `keep`, that of each `keep_every`-th step (0: none), and the best by metric `best` (see `find`).

        clean: removes what killed saves left; for the run itself only: a reader would remove a save in progress.
        """
        self.directory, self.closed, self.broken = epath.Path(workdir).resolve() / 'checkpoints', False, False
        policies = [checkpoint_managers.LatestN(keep)]
        if keep_every:
            policies.append(checkpoint_managers.EveryNSteps(keep_every))
        if best:
            policies.append(
                checkpoint_managers.BestN(
                    get_metric_fn=lambda metrics: badness(metrics, best),
                    reverse=True,
                    n=1,
                    keep_checkpoints_without_metrics=False,
                )
            )
        self.manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                enable_async_checkpointing=True,
                cleanup_tmp_directories=clean,
                best_fn=lambda metrics: badness(metrics, best),  # without one, Orbax does not save metrics
            ),
        )

    @classmethod
    def of_run(cls, workdir: str, config: ConfigDict) -> Self:
        """The checkpoints of a run in training, which keeps them as its config says."""
        training = config.training
        return cls(workdir, training.keep_checkpoints, training.keep_every, training.keep_best, clean=True)

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self.manager.latest_step()

    def find(self, which: int | str) -> int:
        """The step of 'latest', 'best' or a number; raises UserError where there is no such checkpoint.

        'best' is by training.keep_best of the config that the newest checkpoint was saved with: the smallest value of that
        metric, or the largest where its name begins with '-'.
        """
        steps = sorted(self.manager.all_steps())
        if not steps:
            raise UserError(f'{self.directory} has no finished checkpoint')
        if which == 'latest':
            return steps[-1]
        if which != 'best':
            if which not in steps:
                raise UserError(f'{self.directory} has no step {which}; it has {", ".join(map(str, steps))}')
            return which
        best = self.read_config(steps[-1])['training']['keep_best']
        if (step := best_step({step: self.manager.metrics(step) or {} for step in steps}, best)) is None:
            raise UserError(
                f'{self.directory} has no best checkpoint: train with training.keep_best=METRIC, or name a step of '
                f'{", ".join(map(str, steps))}'
            )
        return step

    def save(self, step: int, items: dict[str, Any], config: ConfigDict, metrics: dict[str, Any]) -> None:
        """Starts to save `items` as the checkpoint of `step`, unless it exists; returns when the arrays may be donated.

        items, metrics: as in `write`. Raises UserError where this or the previous checkpoint could not be written.
        """
        if step != self.latest():
            self.write(step, as_json(config), {name: float(value) for name, value in metrics.items()}, **items)

    def write(self, step: int, config: dict[str, Any], metrics: dict[str, float] | None = None, **items: Any) -> None:
        """Starts to write a checkpoint.

        items: 'generators' and 'training', each a tree of arrays. metrics: what training.keep_best may compare. Raises
        UserError where this or the previous checkpoint could not be written.
        """
        with self.write_errors():
            self.manager.save(
                step,
                metrics=metrics or {},
                args=ocp.args.Composite(
                    config=ocp.args.JsonSave(config), **{name: ocp.args.StandardSave(tree) for name, tree in items.items()}
                ),
            )

    @contextlib.contextmanager
    def write_errors(self) -> Iterator[None]:
        """Raises UserError for an error of writing: a full disk, a folder that went away."""
        try:
            yield
        except jax.errors.JaxRuntimeError:  # of the train step, whose arrays the save waits for
            raise
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore has no exceptions of its own
            self.broken = True
            raise UserError(
                f'{self.directory} cannot be written: {storage_reason(error)}; {self.how_to_continue()}'
            ) from error

    def how_to_continue(self) -> str:
        """A hint for a run that stops now: where the same command continues."""
        if (latest := self.latest()) is None:
            return 'there is no checkpoint yet: the same command starts from the beginning'
        return f'the last good checkpoint is of step {latest}: the same command continues from it'

    def changes(self, step: int, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
        """Fields of `config` that differ from those of a checkpoint: {'training.steps': (old, new)}."""
        return differences(self.read_config(step), as_json(config))

    def read_config(self, step: int) -> dict[str, Any]:
        """The config that a checkpoint was saved with, as nested dicts; fields that are newer have their defaults.

        Raises UserError where it cannot be read.
        """
        try:
            return complete(self.manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))['config'])
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: not a checkpoint of ugatit_jax ({first_line(error)})') from error

    def restore(self, step: int, items: dict[str, Any], config: ConfigDict, state_sharding: StateSharding) -> dict[str, Any]:
        """The items of a checkpoint, sharded by `state_sharding`, on whatever devices it was saved.

        items: trees of arrays, or of ShapeDtypeStructs, with the expected shapes. Raises UserError where `config` differs
        from the checkpoint's in a field that cannot change, or where the checkpoint cannot be read.
        """
        validate_same_run(self.read_config(step), as_json(config), f'{self.directory}/{step}')
        if not self.has(step, 'training'):
            raise UserError(
                f'{self.directory}/{step} has generators only, converted from a file without discriminators: it can '
                'translate, but training cannot continue from it; take another --workdir'
            )
        wanted = {name: ocp.args.StandardRestore(state_sharding.abstract(tree)) for name, tree in items.items()}
        try:
            return dict(self.manager.restore(step, args=ocp.args.Composite(**wanted)))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f'{self.directory}/{step} cannot be restored ({first_line(error)}); remove that folder to continue from '
                'the checkpoint before it'
            ) from error

    def has(self, step: int, item: str) -> bool:
        """Whether a checkpoint has an item."""
        return (self.directory / str(step) / item).exists()

    def tree(self, step: int, item: str) -> dict[str, Any]:
        """The nested dicts of an item, with metadata in place of arrays; raises UserError."""
        try:
            return ocp.PyTreeCheckpointHandler().metadata(self.directory / str(step) / item).tree
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: {item} cannot be read ({first_line(error)})') from error

    def read(self, step: int, item: str, *branches: str) -> dict[str, Any]:
        """Some branches ('raw', 'raw/genA2B') of an item as nested dicts of numpy arrays; raises UserError."""
        tree = self.tree(step, item)
        try:
            wanted = unflatten_dict({branch: functools.reduce(getitem, branch.split('/'), tree) for branch in branches}, '/')
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            restore = ocp.args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)
            return self.manager.restore(step, args=ocp.args.Composite(**{item: restore}))[item]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: {item} cannot be read ({first_line(error)})') from error

    def close(self) -> None:
        """Waits until all saves are on disk; raises UserError where one failed."""
        if not self.closed:
            self.closed = True
            with self.write_errors():
                self.manager.wait_until_finished()
            self.manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if not self.broken:
            self.close()


def storage_reason(error: Exception) -> str:
    """Why a write failed: the usual reason that TensorStore's long message contains, else the start of that message."""
    for reason in ('No space left on device', 'Permission denied', 'Read-only file system', 'Quota exceeded'):
        if reason.lower() in str(error).lower():
            return reason
    return first_line(error)[:200]  # characters: the line may quote TensorStore's whole specification
