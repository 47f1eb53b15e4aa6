"""Writes a folder of generators (see checkpoint/model_folder.py) with its model card, and checks what it wrote."""

import os
import pathlib
from typing import Any

import numpy as np
from etils import epath

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.checkpoint.model_folder import write_model_folder
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import partial_folder
from ugatit_jax.export.model_card import model_card
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.names import DIRECTIONS, generator_of, source_of
from ugatit_jax.models.networks import make_networks
from ugatit_jax.report.history import read_rows
from ugatit_jax.report.run_previews import preview_files

# Of 255, on noise, which is harder than images. float16 has 11 bits: at ch 32 it changed no value by more than 1
MAX_DIFFERENCE = {'float32': 0, 'float16': 8}


def export_folder(
    checkpoint: str,
    to: str,
    *,
    step: str = 'latest',
    weights: str = 'auto',
    direction: str = 'both',
    dtype: str = 'float32',
    license: str = '',
) -> list[str]:
    """Writes the folder `to`, complete or not at all, and returns lines to print.

    Each generator that was written is read back and run beside the checkpoint's on noise. Raises UserError where `to`
    exists or cannot be written, and where the results differ by more than MAX_DIFFERENCE.
    """
    if os.path.lexists(to):
        raise UserError(f'--to={to} exists already, and nothing is overwritten; name another')
    names = None if direction == 'both' else (generator_of(direction),)
    loaded = load_generators(checkpoint, parse_step(step), weights, names)
    try:
        with partial_folder(pathlib.Path(to).absolute().parent) as folder:
            differences = write_and_compare(loaded, folder, pathlib.Path(to).name, dtype, license)
            folder.rename(to)
    except OSError as error:
        raise UserError(f'--to={to} cannot be written: {first_line(error)}') from error
    lines = [f'wrote {to}: step {loaded.step} {loaded.weights} of {loaded.where}, {dtype}']
    for name, difference in differences.items():
        size = os.path.getsize(os.path.join(to, f'{name}.safetensors')) / 1e6
        lines.append(f'  {name}.safetensors: {size:.1f} MB; its images differ by at most {difference} of 255 on noise')
    return lines


def write_and_compare(loaded: LoadedGenerators, folder: pathlib.Path, name: str, dtype: str, license: str) -> dict[str, int]:
    """Writes everything into an empty folder; returns the `largest_difference` of each generator."""
    write_model_folder(folder, loaded.config, loaded.step, loaded.weights, loaded.generator, dtype)
    written = load_generators(str(folder))
    differences = {network: largest_difference(loaded, written, network) for network in written.generator}
    for network, difference in differences.items():
        if difference > MAX_DIFFERENCE[dtype]:
            raise UserError(
                f'--dtype={dtype}: images of {network} differ by up to {difference} of 255 from those of '
                f'{loaded.where}; take --dtype=float32'
            )
    found, preview = {}, False
    if loaded.workdir is not None:  # a model folder has neither evaluations nor previews
        run = epath.Path(loaded.workdir)
        found, preview = scores(run, loaded.step), copy_preview(run, loaded.step, folder)
    (folder / 'README.md').write_text(model_card(written, name, dtype, found, preview, license), encoding='utf-8')
    return differences


def largest_difference(loaded: LoadedGenerators, written: LoadedGenerators, name: str) -> int:
    """How far the 8-bit images of two sets of a generator's weights are apart at most, on one image of noise."""
    config = loaded.config
    channels = config.data[f'channels_{source_of(name)}']
    shape = (1, config.data.image_size, config.data.image_size, channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    forward = compiled_generator(make_networks(config).module(name))
    images = [np.asarray(forward(of.generator[name], noise).image) for of in (loaded, written)]
    return int(np.abs(images[0].astype(int) - images[1]).max())


def scores(run: epath.Path, step: int) -> dict[str, dict[str, float]]:
    """What the run's evaluation.jsonl says of the step, by direction; {} without an evaluation of it."""
    rows, _ = read_rows(run / 'evaluation.jsonl')
    row = next((row for row in rows if row['step'] == step), None)
    return {} if row is None else {direction: of_direction(row, direction) for direction in DIRECTIONS}


def of_direction(row: dict[str, Any], direction: str) -> dict[str, float]:
    """Metrics of one direction: {'kid': ...} of 'kid_A2B' and the like."""
    suffix = f'_{direction}'
    return {key.removesuffix(suffix): float(value) for key, value in row.items() if key.endswith(suffix)}


def copy_preview(run: epath.Path, step: int, folder: pathlib.Path) -> bool:
    """Copies the run's preview of the step, or the last one before it, as preview.png; returns whether there was one."""
    found = [path for of_step, path in preview_files(run) if of_step <= step]
    if found:
        (folder / 'preview.png').write_bytes(found[-1].read_bytes())
    return bool(found)
