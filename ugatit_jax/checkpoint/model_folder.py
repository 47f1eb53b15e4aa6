"""A folder of generators without their run: a config.json and a .safetensors file for each, to keep, ship and publish.

config.json has 'format' (FORMAT), 'step', 'weights' ('raw' or 'ema'), 'config' (the resolved config of the run) and
'generators': {'genA2B': {'file': 'genA2B.safetensors', 'sha256': ...}, ...}. The files hold the parameters by path, such as
'ResBlocks/Conv_0/kernel', in float32 or float16. Nothing in such a folder is executed.
"""

import hashlib
import json
import pathlib
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from etils import epath
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict as MutableConfigDict
from ml_collections import FrozenConfigDict as ConfigDict
from safetensors import SafetensorError

from ugatit_jax.checkpoint.compatibility import as_json, complete
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.models.names import GENERATORS
from ugatit_jax.models.networks import make_networks, network_shapes

CONFIG, FORMAT = 'config.json', 'ugatit_jax generators 1'
SHIPPED = pathlib.Path(__file__).parent / 'shipped'  # folders that come with the package, known by their names


class ModelFolder(NamedTuple):
    """What config.json says."""

    path: epath.Path
    step: int
    weights: str
    config: ConfigDict  # resolved
    generators: dict[str, dict[str, str]]


def find_model_folder(path: str) -> epath.Path | None:
    """The folder of generators at `path`, or shipped under that name; None where there is none."""
    for folder in (epath.Path(path), epath.Path(SHIPPED / path) if path.isidentifier() else None):
        if folder is not None and (folder / CONFIG).is_file():
            return folder
    return None


def shipped_names() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f'*/{CONFIG}'))


def read_model_folder(path: epath.Path) -> ModelFolder:
    """Reads config.json; raises UserError where it is not one of ours."""
    file = path / CONFIG
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        if content['format'] != FORMAT:
            raise UserError(f'{file}: its format is {content["format"]!r}, this version reads {FORMAT!r}')
        generators = {name: content['generators'][name] for name in GENERATORS if name in content['generators']}
        if not generators or not all({'file', 'sha256'} <= entry.keys() for entry in generators.values()):
            raise ValueError('no generators')
        config = ConfigDict(complete(content['config']))
        return ModelFolder(path, int(content['step']), str(content['weights']), config, generators)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f'{file} is not the config.json of a folder of generators ({first_line(error)})') from error


def file_of(folder: ModelFolder, name: str) -> str:
    """The file of a generator: a name without folders, so that it cannot leave the folder."""
    return pathlib.PurePosixPath(folder.generators[name]['file']).name


def read_generator(folder: ModelFolder, name: str) -> dict[str, Any]:
    """The parameters of one generator, nested, numpy float32; raises UserError where a file is not as it was written."""
    entry = folder.generators[name]
    path = folder.path / file_of(folder, name)
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != entry['sha256']:
            raise UserError(f'{path} is not the file that {CONFIG} names: its SHA-256 differs; get it again')
        arrays = safetensors.numpy.load(content)
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f'{path} cannot be read: {first_line(error)}') from error
    shapes = network_shapes(make_networks(folder.config), name, folder.config)
    found = {key: value.shape for key, value in arrays.items()}
    if differing := sorted(key for key in shapes.keys() | found.keys() if shapes.get(key) != found.get(key)):
        key = differing[0]
        raise UserError(
            f'{path}: {key} is {found.get(key, "absent")}, by {CONFIG} it is {shapes.get(key, "absent")}; '
            'the files are of two models'
        )
    return unflatten_dict({key: value.astype(np.float32) for key, value in arrays.items()}, sep='/')


def write_model_folder(
    path: pathlib.Path, config: ConfigDict, step: int, weights: str, generators: dict[str, Any], dtype: str
) -> None:
    """Writes config.json and a file for each generator into an empty folder."""
    entries = {}
    for name, params in generators.items():
        flat = {key: np.ascontiguousarray(value, dtype) for key, value in flatten_dict(params, sep='/').items()}
        if unfit := [key for key, value in flat.items() if not np.isfinite(value).all()]:
            raise UserError(f'{name}/{unfit[0]} has values that are not finite in {dtype}; take --dtype=float32')
        content = safetensors.numpy.save(flat, {'format': 'np'})
        (path / f'{name}.safetensors').write_bytes(content)
        entries[name] = {'file': f'{name}.safetensors', 'sha256': hashlib.sha256(content).hexdigest()}
    config = without_places(config)
    text = {'format': FORMAT, 'step': step, 'weights': weights, 'generators': entries, 'config': as_json(config)}
    (path / CONFIG).write_text(json.dumps(text, indent=1) + '\n', encoding='utf-8')


def without_places(config: ConfigDict) -> ConfigDict:
    """The config without names of folders of the machine that trained, which are nobody else's business."""
    unset = {'init_from': '', 'data.data_dir': None, 'data.cache_dir': None, 'evaluation.inception_weights': ''}
    unset['distill.teacher'] = pathlib.PurePath(config.distill.teacher).name
    kind, colon, place = config.data.source.partition(':')
    if kind in ('folder', 'prepared'):
        unset['data.source'] = f'{kind}{colon}{pathlib.PurePath(place).name}'
    mutable = MutableConfigDict(config.to_dict())
    mutable.update_from_flattened_dict(unset)
    return ConfigDict(mutable)
