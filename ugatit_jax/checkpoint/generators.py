"""Loads the generators of a checkpoint, for everything that uses them and does not train."""

from typing import Any, NamedTuple

from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.errors import UserError


class LoadedGenerators(NamedTuple):
    """Generators of one checkpoint."""

    where: str  # the checkpoint's folder
    step: int
    config: ConfigDict  # resolved, as it was trained with
    weights: str  # 'raw' or 'ema'
    generator: dict[str, Any]  # parameters, numpy, by network: genA2B and genB2A or one of them


def load_generators(
    path: str, step: int | str = 'latest', weights: str = 'auto', names: tuple[str, ...] | None = None
) -> LoadedGenerators:
    """Loads the generators of WORKDIR at `step` ('latest', 'best' or a number), or of WORKDIR/checkpoints/STEP.

    weights: 'raw', 'ema', or 'auto' for the averaged ones where there are some. names: the generators to read, by default
    all. Raises UserError where there is no such checkpoint, or it has no such weights.
    """
    if (found := workdir_of(path)) is None:
        raise UserError(f'{path} is neither a workdir of ugatit_jax nor one of its checkpoints (WORKDIR/checkpoints/STEP)')
    workdir, step_of_path = found
    checkpoints = Checkpoints(workdir)
    try:
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
        generator = checkpoints.read(step, 'generators', *(f'{weights}/{name}' for name in names))[weights]
    finally:
        checkpoints.close()
    return LoadedGenerators(where, step, ConfigDict(config), weights, generator)


def workdir_of(path: str) -> tuple[str, int | None] | None:
    """(workdir, step) of a checkpoint's folder, (workdir, None) of a workdir, None of any other path."""
    folder = epath.Path(path)  # gs:// too
    if (folder / 'checkpoints').is_dir():
        return path, None
    if folder.name.isdecimal() and (folder / 'generators').is_dir():
        return str(folder.resolve().parent.parent), int(folder.name)
    return None


def parse_step(text: str) -> int | str:
    """The value of --step, 'latest', 'best' or a number; raises UserError."""
    if text in ('latest', 'best'):
        return text
    if not text.isdecimal():
        raise UserError(f'--step={text} is not latest, best or a number')
    return int(text)
