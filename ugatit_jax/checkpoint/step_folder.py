"""Reads one checkpoint, WORKDIR/checkpoints/STEP/, and compares everything that it reads with its checksums."""

import contextlib
import errno
import functools
import json
import logging
import os
import pathlib
import tempfile
from collections.abc import Iterator
from operator import getitem
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict

from ugatit_jax.checkpoint.checksums import checksums, differing, digest, named_leaves
from ugatit_jax.checkpoint.compatibility import complete, validate_same_run
from ugatit_jax.common.errors import UserError, first_line, named_line
from ugatit_jax.common.files import is_remote

logger = logging.getLogger(__name__)

CHECKSUMS = 'checksums'  # the item with those of all others, and its own
FILES = {'config': 'metadata', 'metrics': 'metrics', CHECKSUMS: 'metadata'}  # of Orbax's JSON items
# errors of an intact checkpoint, from errno and as TensorStore words them: it stays where it is
UNREACHABLE = tuple(
    os.strerror(number)
    for number in (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETIMEDOUT, errno.ENETUNREACH)
) + ('UNAVAILABLE', 'DEADLINE_EXCEEDED', 'PERMISSION_DENIED', 'UNAUTHENTICATED', 'retry attempts failed')
INDEX_MAGIC = bytes.fromhex('0cdb20de')  # of OCDBT's index nodes
MAX_PROBED = 200  # data files that are tried in the search for a damaged one: a light model has some dozen
REASON = 160  # characters of an error of Orbax or TensorStore, which may be a page in one line


class DamagedCheckpoint(UserError):
    """A checkpoint, at `path`, that is not as it was written: the message begins with the path."""

    def __init__(self, path: epath.Path, message: str):
        super().__init__(f'{path}{message}')
        self.path = path


@functools.cache  # once for each checkpoint, of which a run reads several items
def warn_without_checksums(path: str) -> None:
    """Says that a checkpoint is of a version that wrote no checksums."""
    logger.warning('%s has no checksums, as older versions wrote none: read without them', path)


class StepFolder:
    """One checkpoint. All methods raise DamagedCheckpoint, or UserError where it cannot be reached."""

    def __init__(self, directory: epath.Path, step: int):
        self.path, self.step = directory / str(step), step

    def has(self, item: str) -> bool:
        """Whether it was written with an item; one that is gone since is damage."""
        if (self.path / item).exists():
            return True
        if item in self.checksums.get('arrays', {}):
            raise DamagedCheckpoint(self.path, f' is damaged: {item} is gone')
        return False

    def validate_continuation(self, config: dict[str, Any]) -> None:
        """Raises UserError where training with `config`, as JSON, cannot continue from it."""
        validate_same_run(self.config, config, str(self.path))
        if not self.has('training'):
            raise UserError(
                f'{self.path} has generators only, converted from a file without discriminators: it can '
                'translate, but training cannot continue from it; take another --workdir'
            )

    @functools.cached_property
    def checksums(self) -> dict[str, Any]:
        """What `make_checksums` made when it was written; {} for one from before there were checksums."""
        if not (self.path / CHECKSUMS).exists() and not self.lists_checksums():
            warn_without_checksums(str(self.path))
            return {}
        found = self.read_json(CHECKSUMS)
        with self.reading(CHECKSUMS):
            if found.pop('self') != digest(found):
                raise ValueError('they do not agree with their own')
            return found

    def lists_checksums(self) -> bool:
        """Whether Orbax's own list of the items, where it can be read, names checksums."""
        try:
            return CHECKSUMS in json.loads((self.path / '_CHECKPOINT_METADATA').read_bytes())['item_handlers']
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def read_json(self, item: str) -> dict[str, Any]:
        """A JSON item as it is, unchecked."""
        with self.reading(item):
            found = json.loads((self.path / item / FILES[item]).read_bytes())
            if not isinstance(found, dict):
                raise ValueError(f'a {type(found).__name__}')
            return found

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The config that it was saved with, as nested dicts; fields that are newer have their defaults."""
        if not (self.path / 'config' / FILES['config']).exists():
            raise DamagedCheckpoint(self.path, ': not a checkpoint of ugatit_jax, or damaged: it has no config')
        found = self.read_json('config')
        self.validate('config', {'config': digest(found)}, {'config': self.checksums.get('config')})
        try:
            with self.reading('config'):
                return complete(found)
        except DamagedCheckpoint:
            raise
        except UserError as error:
            raise UserError(f'{self.path}: {error}') from error

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """What training.keep_best may compare; {} where there is nothing, or, with a line that says so, damage."""
        try:
            if not (self.path / 'metrics' / FILES['metrics']).exists():
                return {}
            found = self.read_json('metrics')
            self.validate('metrics', {'metrics': digest(found)}, {'metrics': self.checksums.get('metrics')})
            with self.reading('metrics'):
                return {name: float(value) for name, value in found.items()}
        except UserError as error:
            logger.warning('%s; training.keep_best does without them', error)
            return {}

    def tree(self, item: str) -> dict[str, Any]:
        """The nested dicts of an item, with metadata in place of arrays."""
        with self.reading(item):
            tree = ocp.PyTreeCheckpointHandler().metadata(self.path / item).tree
            names = named_leaves(tree)
        if (wanted := self.checksums.get('arrays', {}).get(item)) is not None:
            self.validate(item, dict.fromkeys(names, ''), dict.fromkeys(wanted, ''))
        return tree

    def read(self, item: str, *branches: str) -> dict[str, Any]:
        """Some branches ('raw', 'raw/genA2B') of an item as nested dicts of numpy arrays."""
        tree = self.tree(item)
        with self.reading(item):
            wanted = unflatten_dict({branch: functools.reduce(getitem, branch.split('/'), tree) for branch in branches}, '/')
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
            arguments = ocp.args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)
            with ocp.PyTreeCheckpointer() as checkpointer:
                found = checkpointer.restore(self.path / item, args=arguments)
        self.validate_arrays(item, found, branches)
        return found

    def restore(self, item: str, abstract: Any) -> Any:
        """An item as arrays with the shapes and shardings of `abstract`, a tree of ShapeDtypeStructs."""
        with self.reading(item), ocp.StandardCheckpointer() as checkpointer:
            found = checkpointer.restore(self.path / item, abstract)
        self.validate_arrays(item, found)
        return found

    @contextlib.contextmanager
    def reading(self, item: str) -> Iterator[None]:
        """Raises one of our errors, in one line, in place of whatever reading an item raises."""
        try:
            yield
        except (UserError, MemoryError, jax.errors.JaxRuntimeError):  # JAX: out of memory
            raise
        except Exception as error:  # Orbax and TensorStore raise whatever their parsing met
            reason = (first_line(error) if isinstance(error, OSError | ValueError) else named_line(error))[:REASON]
            if any(text.lower() in str(error).lower() for text in UNREACHABLE):
                raise UserError(f'{self.path}: {item} cannot be read: {reason}') from error
            raise DamagedCheckpoint(self.path, f' is damaged: {item} cannot be read ({reason})') from error

    def validate_arrays(self, item: str, tree: Any, branches: tuple[str, ...] = ()) -> None:
        """Raises DamagedCheckpoint where arrays of an item, or of these branches of it, are not as they were written."""
        wanted = self.checksums.get('arrays', {}).get(item)
        if branches and wanted is not None:
            inside = tuple(f'{branch}/' for branch in branches)
            wanted = {name: value for name, value in wanted.items() if f'{name}/'.startswith(inside)}
        self.validate(item, checksums(tree) if wanted is not None else {}, wanted or {})

    def validate(self, item: str, found: dict[str, str], wanted: dict[str, str | None]) -> None:
        """Raises DamagedCheckpoint, with arrays and files, where checksums differ; those that are None are not known."""
        names = differing(found, wanted | {name: found.get(name) for name, value in wanted.items() if value is None})
        if not names:
            return
        arrays = '' if names == [item] else f': {names[0]}' + (f' and {len(names) - 1} more' if len(names) > 1 else '')
        try:
            files = ', '.join(files_of(self.path / item, names[0].split('/'))) if arrays else FILES[item]
        except OSError:  # no folder for temporary files can be written: the damage is named all the same
            files = ''
        place = f', in {files}' if files else ''
        raise DamagedCheckpoint(self.path, f' is damaged: {item}{arrays} differs from its checksum{place}')


def make_checksums(config: dict[str, Any], metrics: dict[str, float], items: dict[str, Any]) -> dict[str, Any]:
    """The checksums of all that a checkpoint has, as JSON; items: trees of arrays."""
    made = {
        'config': digest(config),
        'metrics': digest(metrics),
        'arrays': {name: checksums(tree) for name, tree in items.items()},
    }
    return made | {'self': digest(made)}


def files_of(folder: epath.Path, array: list[str]) -> list[str]:
    """The data files of an item that have parts of an array, by their names below its folder; [] where that is not known.

    TensorStore does not tell: the array is read again from a folder that lacks one of the files, one after another.
    """
    if is_remote(folder):
        return []
    root = pathlib.Path(folder)
    files = [path.relative_to(root) for path in sorted(root.rglob('*')) if path.is_file()]
    data = [path for path in files if path.parent.name == 'd' and not is_index(root / path)]
    if len(data) > MAX_PROBED:
        return []
    needed = []
    with tempfile.TemporaryDirectory() as scratch:
        for path in files:
            pathlib.Path(scratch, path).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(scratch, path).symlink_to(root / path)
        for path in data:
            pathlib.Path(scratch, path).unlink()
            if not is_readable(scratch, array):
                needed.append(str(path))
            pathlib.Path(scratch, path).symlink_to(root / path)
    return needed


def is_index(path: pathlib.Path) -> bool:
    """Whether a file of TensorStore's database is a part of its index, which has checksums of its own."""
    with open(path, 'rb') as file:
        return file.read(len(INDEX_MAGIC)) == INDEX_MAGIC


def is_readable(folder: str, array: list[str]) -> bool:
    """Whether one array of an item can be read at all."""
    try:
        tree = ocp.PyTreeCheckpointHandler().metadata(epath.Path(folder)).tree
        wanted = unflatten_dict({tuple(array): flatten_dict(tree, sep='/')['/'.join(array)]})
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.restore(
                epath.Path(folder), args=ocp.args.PyTreeRestore(wanted, restore_args=as_numpy, partial_restore=True)
            )
        return True
    except Exception:
        return False
