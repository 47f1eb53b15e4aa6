"""Writes a folder of generators (see checkpoint/model_folder.py) with its model card, and checks what it wrote."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
from etils import epath

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.checkpoint.model_folder import write_model_folder
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.export.model_card import model_card
from ugatit_jax.files import partial_name
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.networks import DIRECTIONS, generator_of, make_networks, source_of

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
    with new_folder(to) as folder:
        write_model_folder(folder, loaded.config, loaded.step, loaded.weights, loaded.generator, dtype)
        written = load_generators(str(folder))
        differences = {name: largest_difference(loaded, written, name) for name in written.generator}
        for name, difference in differences.items():
            if difference > MAX_DIFFERENCE[dtype]:
                raise UserError(
                    f'--dtype={dtype}: images of {name} differ by up to {difference} of 255 from those of '
                    f'{loaded.where}; take --dtype=float32'
                )
        preview = copy_preview(loaded, folder)
        card = model_card(written, pathlib.Path(to).name, sorted(written.generator), dtype, scores(loaded), preview, license)
        (folder / 'README.md').write_text(card, encoding='utf-8')
    lines = [f'wrote {to}: step {loaded.step} {loaded.weights} of {loaded.where}, {dtype}']
    for name, difference in differences.items():
        size = os.path.getsize(os.path.join(to, f'{name}.safetensors')) / 1e6
        lines.append(f'  {name}.safetensors: {size:.1f} MB; its images differ by at most {difference} of 255 on noise')
    return lines


@contextlib.contextmanager
def new_folder(path: str) -> Iterator[pathlib.Path]:
    """A folder beside `path` to write into; it becomes `path`, or is removed when something is raised."""
    parent = pathlib.Path(path).absolute().parent
    folder = parent / partial_name()
    try:
        folder.mkdir(parents=True)
        yield folder
        folder.rename(path)
    except OSError as error:
        raise UserError(f'--to={path} cannot be written: {first_line(error)}') from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def largest_difference(loaded: LoadedGenerators, written: LoadedGenerators, name: str) -> int:
    """How far the 8-bit images of two sets of a generator's weights are apart at most, on one image of noise."""
    config = loaded.config
    channels = config.data[f'channels_{source_of(name)}']
    shape = (1, config.data.image_size, config.data.image_size, channels)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    forward = compiled_generator(make_networks(config).module(name))
    images = [np.asarray(forward(of.generator[name], noise).image) for of in (loaded, written)]
    return int(np.abs(images[0].astype(int) - images[1]).max())


def scores(loaded: LoadedGenerators) -> dict[str, dict[str, float]]:
    """What the run's evaluation.jsonl says of the step, by direction; {} without an evaluation of it."""
    file = epath.Path(loaded.where).parent.parent / 'evaluation.jsonl'
    if not file.exists():
        return {}
    for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            row = json.loads(line)
            if row.get('step') == loaded.step:
                return {direction: of_direction(row, direction) for direction in DIRECTIONS}
    return {}


def of_direction(row: dict[str, Any], direction: str) -> dict[str, float]:
    """Metrics of one direction: {'kid': ...} of 'kid_A2B' and the like."""
    suffix = f'_{direction}'
    return {key.removesuffix(suffix): float(value) for key, value in row.items() if key.endswith(suffix)}


def copy_preview(loaded: LoadedGenerators, folder: pathlib.Path) -> bool:
    """Copies the run's preview of the step, or the last one before it, as preview.png; returns whether there was one."""
    previews = epath.Path(loaded.where).parent.parent / 'previews'
    found = [path for path in previews.glob('*.png') if path.stem.isdecimal() and int(path.stem) <= loaded.step]
    if not found:
        return False
    newest = max(found, key=lambda path: int(path.stem))
    (folder / 'preview.png').write_bytes(newest.read_bytes())
    return True
