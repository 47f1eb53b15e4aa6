"""Orbax checkpoints of a run: the generators' weights as an item of their own, the rest of the state, the config.

WORKDIR/checkpoints/STEP/generators: {'raw': {genA2B, genB2A}, 'ema': the same or {}}, all that translation needs.
WORKDIR/checkpoints/STEP/training: discriminators, spectral vectors, optimisers, step and key.
WORKDIR/checkpoints/STEP/config: the resolved config as JSON.

A checkpoint that ugatit_jax.convert made may have no `training` (it was of generators alone), and its config has one more
entry, `converted`: the fields that the file decided. A run that continues from it is free in all others.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers

from ugatit_jax.checkpoint.best_step import badness, best_step
from ugatit_jax.checkpoint.compatibility import as_json, complete, differences, validate_same_run
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.sharding import StateSharding


class Checkpoints:
    """The checkpoints of one workdir; saving is asynchronous, and a half-written one is never seen."""

    def __init__(self, workdir: str, keep: int = 1, keep_every: int = 0, best: str = '', clean: bool = False):
        """Keeps the newest `keep`, each `keep_every`-th step (0: none), and the one of the best metric (see `find`).

        clean: removes what killed saves left; only for the run itself, as others would remove its save at hand.
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
                best_fn=lambda metrics: badness(metrics, best),
            ),
        )  # without one, Orbax does not write metrics

    @classmethod
    def of_run(cls, workdir: str, config: ConfigDict) -> Self:
        """Those of a run that keeps checkpoints as its config says."""
        training = config.training
        return cls(workdir, training.keep_checkpoints, training.keep_every, training.keep_best, clean=True)

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return self.manager.latest_step()

    def find(self, which: int | str) -> int:
        """The step of 'latest', 'best' or a number; raises UserError where there is no such checkpoint.

        'best' has the smallest value of training.keep_best of the config it was saved with: a metric, or '-' and one
        whose largest value is best.
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
        if (step := best_step({step: self.metrics(step) for step in steps}, best)) is None:
            raise UserError(
                f'{self.directory} does not know its best: train with training.keep_best=METRIC, or name a step of '
                f'{", ".join(map(str, steps))}'
            )
        return step

    def save(self, step: int, items: dict[str, Any], config: ConfigDict, metrics: dict[str, Any]) -> None:
        """Starts to save the items of `step`, unless it is there; returns when the devices' arrays may be donated."""
        if step != self.latest():
            self.write(step, as_json(config), {name: float(value) for name, value in metrics.items()}, **items)

    def write(self, step: int, config: dict[str, Any], metrics: dict[str, float] | None = None, **items: Any) -> None:
        """Starts to write the items of a checkpoint, each a tree of arrays, and the metrics that 'best' looks at.

        Raises UserError where this or the checkpoint before could not be written.
        """
        with self.writing():
            self.manager.save(
                step,
                metrics=metrics or {},
                args=ocp.args.Composite(
                    config=ocp.args.JsonSave(config), **{name: ocp.args.StandardSave(tree) for name, tree in items.items()}
                ),
            )

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Says in one line why a checkpoint could not be written: a full disk, a folder that went away."""
        try:
            yield
        except jax.errors.JaxRuntimeError:  # of a step that is not done yet, not of the disk
            raise
        except (OSError, ValueError, RuntimeError) as error:  # TensorStore has no exceptions of its own
            self.broken = True
            raise UserError(f'{self.directory} cannot be written: {plain(error)}; {self.way_back()}') from error

    def way_back(self) -> str:
        """Where a run that stops now goes on."""
        if (latest := self.latest()) is None:
            return 'there is no checkpoint yet: the same command starts from the beginning'
        return f'the last good checkpoint is of step {latest}: the same command continues from it'

    def changes(self, step: int, config: ConfigDict) -> dict[str, tuple[Any, Any]]:
        """Fields of `config` that differ from those of a checkpoint: {'training.steps': (old, new)}."""
        return differences(self.read_config(step), as_json(config))

    def read_config(self, step: int) -> dict[str, Any]:
        """The config that a checkpoint was saved with, as nested dicts, with the fields that came after it.

        Raises UserError where it cannot be read.
        """
        try:
            return complete(self.manager.restore(step, args=ocp.args.Composite(config=ocp.args.JsonRestore()))['config'])
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: not a checkpoint of ugatit_jax ({first_line(error)})') from error

    def restore(self, step: int, items: dict[str, Any], config: ConfigDict, state_sharding: StateSharding) -> dict[str, Any]:
        """The items of a checkpoint, sharded as `state_sharding` says, whatever devices saved them.

        items: trees that tell the shapes, of arrays or of what jax.eval_shape gives. Raises UserError where the run
        differs from `config` in what cannot change, or a file cannot be read.
        """
        validate_same_run(self.read_config(step), as_json(config), f'{self.directory}/{step}')
        if not self.has(step, 'training'):
            raise UserError(
                f'{self.directory}/{step} has generators only, converted from a file without discriminators: it can '
                'translate but not be trained on; take another --workdir'
            )
        wanted = {name: ocp.args.StandardRestore(state_sharding.describe(tree)) for name, tree in items.items()}
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

    def metrics(self, step: int) -> dict[str, float]:
        """The metrics that a checkpoint was saved with; {} where there were none."""
        if not self.has(step, 'metrics'):
            return {}
        try:
            return self.manager.restore(step, args=ocp.args.Composite(metrics=ocp.args.JsonRestore()))['metrics']
        except OSError:  # an old checkpoint that is being removed, or was when its run was killed
            return {}

    def keys(self, step: int, item: str, branch: str) -> tuple[str, ...]:
        """Names under a branch of an item; raises UserError."""
        return tuple(self.tree(step, item)[branch])

    def tree(self, step: int, item: str) -> dict[str, Any]:
        """The nested dicts of an item, with descriptions for arrays; raises UserError."""
        try:
            return ocp.PyTreeCheckpointHandler().metadata(self.directory / str(step) / item).tree
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: {item} cannot be read ({first_line(error)})') from error

    def read(self, step: int, item: str, *branches: str) -> dict[str, Any]:
        """Some branches ('raw', 'raw/genA2B') of an item as numpy arrays, whatever devices saved it; raises UserError."""
        args, tree, wanted = ocp.args, self.tree(step, item), {}
        try:
            for branch in branches:
                *parents, name = branch.split('/')
                source, target = tree, wanted
                for parent in parents:
                    source, target = source[parent], target.setdefault(parent, {})
                target[name] = source[name]
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            return self.manager.restore(
                step, args=args.Composite(**{item: args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)})
            )[item]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f'{self.directory}/{step}: {item} cannot be read ({first_line(error)})') from error

    def close(self) -> None:
        """Waits until everything is on disk; raises UserError where that fails."""
        if not self.closed:
            self.closed = True
            with self.writing():
                self.manager.wait_until_finished()
            self.manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if not self.broken:
            self.close()


def plain(error: Exception) -> str:
    """The reason alone of an exception of TensorStore's, which carries its whole specification along."""
    text = first_line(error)
    found = [
        reason
        for reason in ('No space left on device', 'Permission denied', 'Read-only file system', 'Quota exceeded')
        if reason.lower() in str(error).lower()
    ]
    return found[0] if found else text[:200]
