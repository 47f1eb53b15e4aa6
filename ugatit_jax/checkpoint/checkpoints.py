"""Orbax checkpoints of a run. Each has these items, as folders of WORKDIR/checkpoints/STEP/:

- generators: {'raw': {genA2B, genB2A}, 'ema': the same or {}}, all that translation needs.
- training: discriminators, u and v, optimizer states, step and key.
- config: the resolved config as JSON.
- metrics: what training.keep_best may compare, as JSON.
- checksums: of every array and of the JSON items (see checksums.py); checkpoints of older versions have none.

A checkpoint made by ugatit_jax.convert has no `training` where the file had generators only, and its config has one more
entry, `converted`: the fields that follow from the file. A run that continues from it may change all others.

STEP.damaged is a checkpoint that a run found damaged, and left for you to look at or delete.
"""

import contextlib
import functools
import logging
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict
from orbax.checkpoint import checkpoint_managers

from ugatit_jax.checkpoint.best_step import badness, best_step
from ugatit_jax.checkpoint.compatibility import as_json, differences
from ugatit_jax.checkpoint.step_folder import DamagedCheckpoint, StepFolder, make_checksums
from ugatit_jax.common.errors import UserError, first_line, short_line
from ugatit_jax.common.files import absolute, is_remote
from ugatit_jax.common.progress import announced
from ugatit_jax.common.sharding import StateSharding

logger = logging.getLogger(__name__)

COMMITTED = 'commit_success.txt'  # Orbax's, in a complete checkpoint on a bucket, where nothing can be renamed


class Restored(NamedTuple):
    """The newest checkpoint that could be read."""

    step: int
    items: dict[str, Any]
    set_aside: list[str]  # what was wrong with newer ones, a line each; they are named STEP.damaged now


class Checkpoints:
    """The checkpoints of one workdir. Saves are asynchronous and atomic: a checkpoint is there when it is complete."""

    def __init__(self, workdir: str, keep: int = 1, keep_every: int = 0, best: str = '', clean: bool = False):
        """Keeps the newest `keep`, that of each `keep_every`-th step (0: none), and the best by metric `best` (see `find`).

        clean: the first save removes what killed saves left; for the run itself only: it would remove a save in progress.
        """
        self.directory, self.closed, self.broken = absolute(workdir) / 'checkpoints', False, False
        self.keep, self.keep_every, self.best, self.clean = keep, keep_every, best, clean

    @classmethod
    def of_run(cls, workdir: str, config: ConfigDict) -> Self:
        """The checkpoints of a run in training, which keeps them as its config says."""
        training = config.training
        return cls(workdir, training.keep_checkpoints, training.keep_every, training.keep_best, clean=True)

    @functools.cached_property
    def manager(self) -> ocp.CheckpointManager:
        """Orbax's manager, which writes; made at the first save, as reading needs none."""
        policies = [checkpoint_managers.LatestN(self.keep)]
        if self.keep_every:
            policies.append(checkpoint_managers.EveryNSteps(self.keep_every))
        if self.best:
            policies.append(Best(self))
        return ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(policies),
                enable_async_checkpointing=True,
                cleanup_tmp_directories=self.clean,
                best_fn=lambda metrics: badness(metrics, self.best),  # without one, Orbax does not save metrics
                lightweight_initialize=True,  # reads no metrics, which may be damaged; `Best` does
            ),
        )

    def steps(self) -> list[int]:
        """The steps of the complete checkpoints, sorted."""
        if not self.directory.exists():
            return []
        folders = [path for path in self.directory.iterdir() if path.name.isdecimal()]
        return sorted(int(path.name) for path in folders if not is_remote(path) or (path / COMMITTED).exists())

    def folder(self, step: int) -> StepFolder:
        """What reads one checkpoint."""
        return StepFolder(self.directory, step)

    def latest(self) -> int | None:
        """Step of the newest complete checkpoint, after those that are being saved."""
        if 'manager' in self.__dict__ and not (self.broken or self.closed):
            with self.write_errors():
                self.manager.wait_until_finished()
        return max(self.steps(), default=None)

    def find(self, which: int | str) -> int:
        """The step of 'latest', 'best' or a number; raises UserError where there is no such checkpoint.

        'best' is by training.keep_best of the config that the newest checkpoint was saved with: the smallest value of that
        metric, or the largest where its name begins with '-'.
        """
        if not (steps := self.steps()):
            raise UserError(f'{self.directory} has no finished checkpoint')
        if which == 'latest':
            return steps[-1]
        if which != 'best':
            if which not in steps:
                raise UserError(f'{self.directory} has no step {which}; it has {", ".join(map(str, steps))}')
            return which
        best = self.read_config(steps[-1])['training']['keep_best']
        if (step := best_step({step: self.folder(step).metrics for step in steps}, best)) is None:
            raise UserError(
                f'{self.directory} has no best checkpoint: train with training.keep_best=METRIC, or name a step of '
                f'{", ".join(map(str, steps))}'
            )
        return step

    def save(self, step: int, items: dict[str, Any], config: ConfigDict, metrics: dict[str, Any]) -> None:
        """Starts to save `items` as the checkpoint of `step`, unless it exists; returns when the arrays may be donated.

        items, metrics: as in `write`. Raises UserError where this or the previous checkpoint could not be written.
        """
        if step not in self.steps():
            self.write(step, as_json(config), {name: float(value) for name, value in metrics.items()}, **items)

    def write(self, step: int, config: dict[str, Any], metrics: dict[str, float] | None = None, **items: Any) -> None:
        """Starts to write a checkpoint.

        items: 'generators' and 'training', each a tree of arrays. metrics: what training.keep_best may compare. Raises
        UserError where this or the previous checkpoint could not be written.
        """
        checksums = make_checksums(config, metrics or {}, items)
        with self.write_errors():
            self.manager.save(
                step,
                metrics=metrics or {},
                args=ocp.args.Composite(
                    config=ocp.args.JsonSave(config),
                    checksums=ocp.args.JsonSave(checksums),
                    **{name: ocp.args.StandardSave(tree) for name, tree in items.items()},
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
            with contextlib.suppress(Exception):  # an earlier save that is still going on may be the last good one
                self.manager.wait_until_finished()
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
        return dict(self.folder(step).config)

    def validate_newest(self, config: ConfigDict) -> int:
        """The step of the newest checkpoint whose config can be read; 0 without any.

        Raises UserError, as `restore` does, where a run with `config` cannot continue from it.
        """
        for step in reversed(self.steps()):
            with contextlib.suppress(DamagedCheckpoint):  # `restore_newest` deals with it
                self.folder(step).validate_continuation(as_json(config))
                return step
        return 0

    def restore(self, step: int, items: dict[str, Any], config: ConfigDict, state_sharding: StateSharding) -> dict[str, Any]:
        """The items of a checkpoint, sharded by `state_sharding`, on whatever devices it was saved.

        items: trees of arrays, or of ShapeDtypeStructs, with the expected shapes. Raises DamagedCheckpoint where it is not
        as it was written, and UserError where `config` differs from the checkpoint's in a field that cannot change.
        """
        folder = self.folder(step)
        folder.validate_continuation(as_json(config))
        return {name: folder.restore(name, state_sharding.abstract(tree)) for name, tree in items.items()}

    def restore_newest(self, items: dict[str, Any], config: ConfigDict, state_sharding: StateSharding) -> Restored | None:
        """The newest checkpoint that is not damaged, as `restore` returns it, with newer ones set aside; None without any.

        Raises UserError, and leaves all as they are, where every checkpoint is damaged.
        """
        self.latest()  # after those that are being saved
        damaged: dict[int, DamagedCheckpoint] = {}
        for step in reversed(self.steps()):
            try:
                with announced('reading the newest checkpoint', str(self.directory)):
                    restored = self.restore(step, items, config, state_sharding)
            except DamagedCheckpoint as error:
                damaged[step] = error
                if jax.process_count() > 1:  # the others may not have met the damage, and are past this checkpoint
                    break
                continue
            return Restored(step, restored, [self.set_aside(*found, step) for found in sorted(damaged.items())])
        if not damaged:
            return None
        newest, error = max(damaged.items())
        before = max((step for step in self.steps() if step < newest), default=None)
        if jax.process_count() > 1 and before is not None:
            raise UserError(f'{self.set_aside(newest, error, before)}: start it again')
        raise UserError(f'{error}; no checkpoint before it is whole: restore a copy of one, or take another --workdir')

    def set_aside(self, step: int, error: DamagedCheckpoint, before: int) -> str:
        """Renames a damaged checkpoint so that nothing finds it any more; returns the line that says so."""
        path, number = self.directory / f'{step}.damaged', 2
        while path.exists():
            path, number = self.directory / f'{step}.damaged-{number}', number + 1
        try:
            (self.directory / str(step)).rename(path)
        except FileNotFoundError:
            pass  # another process has done it
        except OSError as failed:
            raise UserError(f'{error}; it cannot be renamed ({first_line(failed)}): move it away to go on') from failed
        if 'manager' in self.__dict__:  # it would count the step as saved
            self.manager.close()
            del self.manager
        line = f'{error}; renamed to {path.name}, the run continues from step {before}'
        logger.warning('%s', line)
        return line

    def has(self, step: int, item: str) -> bool:
        """Whether a checkpoint has an item."""
        return self.folder(step).has(item)

    def tree(self, step: int, item: str) -> dict[str, Any]:
        """The nested dicts of an item, with metadata in place of arrays; raises UserError."""
        return self.folder(step).tree(item)

    def read(self, step: int, item: str, *branches: str) -> dict[str, Any]:
        """Some branches ('raw', 'raw/genA2B') of an item as nested dicts of numpy arrays; raises UserError."""
        return self.folder(step).read(item, *branches)

    def close(self) -> None:
        """Waits until all saves are on disk; raises UserError where one failed."""
        if not self.closed:
            self.closed = True
            if 'manager' in self.__dict__:
                with self.write_errors():
                    self.manager.wait_until_finished()
                self.manager.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if not self.broken:
            self.close()


class Best:
    """Orbax's policy that keeps the best checkpoint: by metrics read here, where damaged ones cost that one its place."""

    def __init__(self, checkpoints: Checkpoints):
        self.best, self.folder, self.read = checkpoints.best, checkpoints.folder, {}

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """For each of Orbax's infos (step, metrics: None where it has not read them) whether it is kept."""
        for info in checkpoints:
            if info.step not in self.read:
                self.read[info.step] = info.metrics if info.metrics is not None else self.folder(info.step).metrics
        step = best_step({info.step: self.read[info.step] for info in checkpoints}, self.best)
        return [info.step == step for info in checkpoints]


def storage_reason(error: Exception) -> str:
    """Why a write failed: the usual reason that TensorStore's long message contains, else the start of that message."""
    for reason in ('No space left on device', 'Permission denied', 'Read-only file system', 'Quota exceeded'):
        if reason.lower() in str(error).lower():
            return reason
    return short_line(error)
