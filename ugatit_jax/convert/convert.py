"""Decides what to convert into what: from_official.py or to_files.py."""

import os
import pathlib

from ugatit_jax.checkpoint.generators import workdir_of
from ugatit_jax.checkpoint.model_folder import find_model_folder
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import validate_local
from ugatit_jax.convert.from_official import describe, write_workdir
from ugatit_jax.convert.read_official import read_official, validate_exists, validate_unused
from ugatit_jax.convert.to_files import WRITERS, load_networks


def convert(
    source: str,
    target: str,
    *,
    image_size: int | None = None,
    direction: str | None = None,
    smoothing: bool | None = None,
    weights: str = 'raw',
) -> list[str]:
    """Converts an official checkpoint to a workdir, or a workdir to a file, and returns lines to print.

    Options are the command's flags. Never overwrites. Raises UserError.
    """
    if os.path.lexists(target or os.curdir):  # '' would be the folder that one is in
        raise UserError(f'--to={target} exists already, and nothing is overwritten; name another')
    suffix = pathlib.Path(target).suffix
    if suffix in ('.pth', '.ckpt', '.npz', '.onnx', '.bin'):  # a folder of such a name is hardly meant
        raise UserError(f'--to={target}: {suffix} is not written; take a folder, NAME.pt or NAME.safetensors')
    if workdir_of(source):
        if suffix not in WRITERS:
            raise UserError(f'--from={source} is of this project already; --to is NAME.pt or NAME.safetensors then')
        flags = {'image_size': image_size, 'direction': direction, 'smoothing': smoothing}
        validate_unused(flags, 'an official checkpoint')
        validate_local(target, '--to')
        networks = load_networks(source, weights)
        WRITERS[suffix](target, networks)
        return [f'wrote {target}: {", ".join(networks.params)} of {networks.where}']
    if find_model_folder(source):
        raise UserError(
            f'--from={source} is a model folder, whose .safetensors are for others as they are; '
            'name the workdir that it was exported from, or an official checkpoint'
        )
    validate_exists(source)
    if suffix in WRITERS:
        raise UserError(f'--to={target} is made of a workdir of this project; convert {source} to a folder first')
    if weights != 'raw':
        raise UserError(f'--weights={weights} is for a workdir; an official checkpoint has one set of weights')
    official = read_official(source, image_size, direction, smoothing)
    write_workdir(target, official)
    return describe(source, target, official)
