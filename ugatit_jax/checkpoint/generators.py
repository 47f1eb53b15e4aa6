"""Loads the generators of a checkpoint or a model folder, for everything that uses them and does not train."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.hub import is_on_hub, open_hub_model
from ugatit_jax.checkpoint.model_folder import (
    CONFIG,
    file_of,
    find_model_folder,
    read_generator,
    read_model_folder,
    shipped_names,
)
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import absolute

if TYPE_CHECKING:
    from ugatit_jax.checkpoint.checkpoints import Checkpoints


class LoadedGenerators(NamedTuple):
    """Generators of one checkpoint or model folder."""

    where: str  # the checkpoint's folder, or the model folder, hf://OWNER/NAME@COMMIT of the Hub's
    step: int
    config: ConfigDict  # resolved, as it was trained with
    weights: str  # 'raw' or 'ema'
    generator: dict[str, Any]  # parameters, numpy, by network: genA2B and genB2A or one of them
    workdir: str | None = None  # of the run; a model folder has none

    @property
    def name(self) -> str:
        """The name of the workdir or model folder."""
        if is_on_hub(self.where):
            return self.where.rpartition('/')[2].partition('@')[0]
        return epath.Path(self.workdir or self.where).name


def load_generators(
    path: str, step: int | str = 'latest', weights: str = 'auto', names: tuple[str, ...] | None = None
) -> LoadedGenerators:
    """Loads the generators of WORKDIR at `step` ('latest', 'best' or a number), or of WORKDIR/checkpoints/STEP.

    path: those, or a model folder, hf://OWNER/NAME for one on the Hugging Face Hub, or the name of a shipped one. weights:
    'raw', 'ema', or 'auto' for the averaged ones where there are some. names: the generators to read, by default all, () for
    none: the config alone. Raises UserError where there is no such checkpoint, or it has no such weights.
    """
    if is_on_hub(path) or (found := workdir_of(path)) is None:
        return load_model_folder(path, step, weights, names)
    from ugatit_jax.checkpoint.checkpoints import Checkpoints  # here: a model folder is read without Orbax

    workdir, step_of_path = found
    if step_of_path is not None and step not in ('latest', step_of_path):
        raise UserError(f'step={step} is not that of {path}; leave it out, or name the workdir')
    checkpoints = Checkpoints(workdir)
    with explain_damage(checkpoints, step_of_path):
        step = checkpoints.find(step if step_of_path is None else step_of_path)
        config = checkpoints.read_config(step)
        config.pop('converted', None)
        averaged = bool(config['training']['ema_decay'])
        where = f'{checkpoints.directory}/{step}'
        if weights == 'ema' and not averaged:
            raise UserError(
                f'{where} has no averaged generators: it was trained with training.ema_decay=0; take the raw ones'
            )
        weights = ('ema' if averaged else 'raw') if weights == 'auto' else weights
        present = tuple(checkpoints.tree(step, 'generators')[weights])
        names = present if names is None else names
        if missing := [name for name in names if name not in present]:
            raise UserError(
                f'{where} has no {missing[0]}, only {", ".join(present)}; the file that it was converted from had no more'
            )
        generator = {}
        if names:
            generator = checkpoints.read(step, 'generators', *(f'{weights}/{name}' for name in names))[weights]
    return LoadedGenerators(where, step, ConfigDict(config), weights, generator, str(checkpoints.directory.parent))


def load_model_folder(path: str, step: int | str, weights: str, names: tuple[str, ...] | None) -> LoadedGenerators:
    """The generators of a model folder, which has one step and one kind of weights; raises UserError for others."""
    hub = open_hub_model(path, CONFIG) if is_on_hub(path) else None
    found = hub.folder if hub else find_model_folder(path)
    if found is None:
        shipped = f', a model of the package ({", ".join(shipped_names())})' if shipped_names() else ''
        raise UserError(
            f'{path} is neither a workdir of ugatit_jax nor one of its checkpoints (WORKDIR/checkpoints/STEP){shipped} '
            'or a folder that ugatit_jax.export wrote'
        )
    folder = read_model_folder(absolute(str(found)))
    where = hub.where if hub else str(folder.path)
    if step not in ('latest', 'best', folder.step):
        raise UserError(f'{where} has no step {step}, only {folder.step}')
    if weights not in ('auto', folder.weights):
        raise UserError(f'{where} has no {weights} weights, only {folder.weights}')
    names = tuple(folder.generators) if names is None else names
    if missing := [name for name in names if name not in folder.generators]:
        raise UserError(f'{where} has no {missing[0]}, only {", ".join(folder.generators)}')
    if hub:
        for name in names:
            hub.fetch(file_of(folder, name))
    generator = {name: read_generator(folder, name) for name in names}
    return LoadedGenerators(where, folder.step, folder.config, folder.weights, generator)


@contextlib.contextmanager
def explain_damage(checkpoints: 'Checkpoints', step_of_path: int | None) -> Iterator[None]:
    """Adds to the error of a damaged checkpoint which one to take instead; step_of_path: as `workdir_of` returns it."""
    from ugatit_jax.checkpoint.step_folder import DamagedCheckpoint

    try:
        yield
    except DamagedCheckpoint as error:
        step = int(error.path.name)
        others = [other for other in checkpoints.steps() if other != step]
        if not others:
            raise UserError(f'{error}; there is no other checkpoint') from error
        other = max((other for other in others if other < step), default=min(others))
        name = f'--step={other}' if step_of_path is None else f'{checkpoints.directory}/{other}'
        raise UserError(f'{error}; {name} is the checkpoint {"before" if other < step else "after"} it') from error


def workdir_of(path: str) -> tuple[str, int | None] | None:
    """(workdir, step) of a checkpoint's folder, (workdir, None) of a workdir, None of any other path."""
    absolute(path)  # raises for what no file system has
    folder = epath.Path(path)  # gs:// too
    if (folder / 'checkpoints').is_dir():
        return path, None
    if folder.name.isdecimal() and (folder / 'generators').is_dir():
        return str(absolute(path).parent.parent), int(folder.name)
    return None


def parse_step(text: str) -> int | str:
    """The value of --step, 'latest', 'best' or a number; raises UserError."""
    if text in ('latest', 'best'):
        return text
    if not text.isdecimal():
        raise UserError(f'--step={text} is not latest, best or a number')
    return int(text)
