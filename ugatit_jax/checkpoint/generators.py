"""LoadedGenerators generators from a workdir, for everything that uses them and does not train."""

from typing import Any, NamedTuple

from etils import epath
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.errors import UserError


class LoadedGenerators(NamedTuple):
    """Generators of one checkpoint."""

    where: str  # its folder
    step: int
    config: ConfigDict  # what it was trained with, resolved
    weights: str  # 'raw' or 'ema'
    generator: dict[str, Any]  # parameters by name, genA2B and genB2A or one of them; numpy


def load_generators(
    path: str, step: int | str = 'latest', weights: str = 'auto', names: tuple[str, ...] | None = None
) -> LoadedGenerators:
    """Generators of WORKDIR at `step` ('latest', 'best' or a number), or of WORKDIR/checkpoints/STEP.

    weights: 'raw', 'ema', or 'auto' for the averaged ones where there are some. names: the generators to read, all that
    there are by default. Raises UserError, naming the way out.
    """
    if (found := workdir_of(path)) is None:
        raise UserError(f'{path} is neither a workdir of ugatit_jax nor one of its checkpoints (WORKDIR/checkpoints/STEP)')
    workdir, own_step = found
    checkpoints = Checkpoints(workdir)
    try:
        step = checkpoints.find(step if own_step is None else own_step)
        config = checkpoints.read_config(step)
        config.pop('converted', None)
        averaged = bool(config['training']['ema_decay'])
        where = f'{checkpoints.directory}/{step}'
        if weights == 'ema' and not averaged:
            raise UserError(f'{where} has no averaged generators: it was trained with training.ema_decay=0; take raw ones')
        weights = ('ema' if averaged else 'raw') if weights == 'auto' else weights
        present = checkpoints.keys(step, 'generators', weights)
        names = present if names is None else names
        if missing := [name for name in names if name not in present]:
            raise UserError(f'{where} has no {missing[0]}, only {", ".join(present)}; it was converted from such a file')
        generator = checkpoints.read(step, 'generators', *(f'{weights}/{name}' for name in names))[weights]
    finally:
        checkpoints.close()
    return LoadedGenerators(where, step, ConfigDict(config), weights, generator)


def workdir_of(path: str) -> tuple[str, int | None] | None:
    """(workdir, step or None for any) where `path` is a workdir of ours or one of its checkpoints."""
    folder = epath.Path(path)  # gs:// too
    if (folder / 'checkpoints').is_dir():
        return path, None
    if folder.name.isdecimal() and (folder / 'generators').is_dir():
        return str(folder.resolve().parent.parent), int(folder.name)
    return None


def parse_step(text: str) -> int | str:
    """--step=latest, best or a number; raises UserError."""
    if text in ('latest', 'best'):
        return text
    if not text.isdecimal():
        raise UserError(f'--step={text} is not latest, best or a number')
    return int(text)
