"""Reads a checkpoint of either official release: weights, Adam's moments and config, in our names and layouts."""

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.checkpoint import tensorflow_file, torch_file
from ugatit_jax.common.errors import UserError, listed
from ugatit_jax.config import default
from ugatit_jax.config.fields import by_dotted_name
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert.official_layout import read_networks
from ugatit_jax.convert.official_names import NETWORKS, TENSORFLOW_NETWORKS, OfficialNames
from ugatit_jax.convert.official_sizes import infer_settings, validate_arrays
from ugatit_jax.models.names import DISCRIMINATORS, GENERATORS

HALVES = (np.float16, ml_dtypes.bfloat16)  # become float32 without loss
LISTED = 4  # names in a message that may have hundreds


class AdamMoments(NamedTuple):
    """Adam's state of one kind of network."""

    count: int  # updates
    mu: dict[str, Any]  # first moments, a tree like the weights
    nu: dict[str, Any]  # second moments


class OfficialCheckpoint(NamedTuple):
    """An official checkpoint in our names and layouts; arrays are float32."""

    release: str  # 'pytorch' | 'tensorflow'
    settings: dict[str, Any]  # config fields that follow from it and differ from the default: {'model.ch': 32}
    config: ConfigDict  # resolved
    generator: dict[str, Any]
    discriminator: dict[str, Any]  # {} where it has generators only
    spectral: dict[str, Any]  # u and v by discriminator
    step: int = 0
    moments: tuple[AdamMoments, AdamMoments] | None = None  # of generators and discriminators; None where it has none


def read_official(path: str, image_size: int | None, direction: str | None, smoothing: bool | None) -> OfficialCheckpoint:
    """Reads a checkpoint of either release; raises UserError.

    image_size: of a light model. direction: of a PyTorch file with one generator. smoothing: how a TensorFlow model was
    trained. None: as the file tells, or the default.
    """
    if is_tensorflow(path):
        validate_unused({'direction': direction}, 'a PyTorch file of one generator')
        return read_tensorflow(path, image_size, smoothing)
    validate_unused({'smoothing': smoothing}, 'a TensorFlow checkpoint')
    return read_torch(path, image_size, direction)


def is_tensorflow(path: str) -> bool:
    """Whether a path is a folder, or the prefix of a TensorFlow checkpoint or one of its files."""
    return os.path.isdir(path) or path.endswith('.index') or os.path.exists(f'{tensorflow_file.find_prefix(path)}.index')


def validate_exists(path: str) -> None:
    """Raises UserError where there is nothing to read."""
    if not (os.path.exists(path) or is_tensorflow(path)):
        raise UserError(f'--from={path}: there is no such file, folder or TensorFlow prefix')


def validate_unused(flags: Mapping[str, Any], only_for: str) -> None:
    """Raises UserError for a flag that is given and would have no effect."""
    for name, value in flags.items():
        if value is not None:
            raise UserError(f'--{name}={value} is for {only_for}; leave it out')


def read_torch(path: str, image_size: int | None = None, direction: str | None = None) -> OfficialCheckpoint:
    """Reads a PyTorch file: the release's, or the state_dict of one generator, of `direction`. Raises UserError."""
    tree = torch_file.load(path)
    if not isinstance(tree, dict) or not tree:
        raise UserError(f'{path} holds a {type(tree).__name__}, not a dictionary of networks or weights')
    if 'DownBlock.1.weight' in tree:
        if direction is None:
            raise UserError(f'{path} is one generator and does not say which: add --direction=A2B or --direction=B2A')
        tree = {f'gen{direction}': tree}
    elif direction is not None:
        raise UserError(f'{path} names its networks, so --direction={direction} has no effect; leave it out')
    networks = [name for name in NETWORKS if name in tree]
    validate_networks(path, networks, [str(name) for name in tree if name not in NETWORKS])
    arrays = {}
    for network, weights in tree.items():
        if not isinstance(weights, dict):
            raise UserError(f'{path}: {network} is a {type(weights).__name__}, not a state_dict')
        arrays |= {f'{network}/{name}': value for name, value in weights.items()}
    return convert_arrays(path, 'pytorch', arrays, networks, image_size)


def read_tensorflow(path: str, image_size: int | None = None, smoothing: bool | None = None) -> OfficialCheckpoint:
    """Reads a TensorFlow checkpoint with Adam's moments; `smoothing` is how it was trained. Raises UserError."""
    file = tensorflow_file.load(path)
    prefixes = {network: f'{official}/' for network, official in TENSORFLOW_NETWORKS.items()}
    networks = [name for name, prefix in prefixes.items() if any(key.startswith(prefix) for key in file.weights)]
    extra = [name for name in file.weights if not name.startswith(tuple(prefixes.values()))]
    validate_networks(file.prefix, networks, extra, TENSORFLOW_NETWORKS)
    settings = {} if (file.smoothing if smoothing is None else smoothing) else {'model.rho_smoothing': 0.0}
    official = convert_arrays(file.prefix, 'tensorflow', file.weights, networks, image_size, settings)
    if not file.mu or not official.discriminator:
        return official
    names, trees = OfficialNames.of_config('tensorflow', official.config), []
    # u has no moments; itself in their place, it is read and left out
    vectors = {name: value for name, value in file.weights.items() if name.endswith('/u')}
    for slots in (file.mu, file.nu):
        arrays = slots | vectors
        validate_arrays(file.prefix, names, official.config, arrays, networks, "Adam's state of ")
        trees.append(read_networks(names, arrays, networks))
    (g_mu, d_mu, _), (g_nu, d_nu, _) = trees
    moments = (AdamMoments(file.counts[0], g_mu, g_nu), AdamMoments(file.counts[1], d_mu, d_nu))
    # our steps count the generators' updates, the release's the discriminators' (--n_critic of them for one)
    settings, n_critic = official.settings, round(file.counts[1] / max(file.counts[0], 1))
    if n_critic > 1:
        settings = dict(settings) | {'training.n_critic': n_critic}
    return official._replace(step=file.counts[0], moments=moments, settings=settings)


def validate_networks(
    path: str, present: Collection[str], extra: Collection[str], names: Mapping[str, str] | None = None
) -> None:
    """Raises UserError unless a file has the six networks, or generators only, and nothing else.

    present: our names of its networks; extra: what else it has; names: its own names of networks, if others than ours.
    """

    if not any(name in GENERATORS for name in present):
        raise UserError(f'{path} is not a checkpoint of U-GAT-IT: it has {listed([*present, *extra], LISTED)}')
    if extra:
        raise UserError(f'{path} has more than the networks of U-GAT-IT: {listed(extra, LISTED)}; save it without')
    missing = [(names or {}).get(name, name) for name in NETWORKS if name not in present]
    if missing and any(name in DISCRIMINATORS for name in present):
        raise UserError(f'{path} lacks {listed(missing, LISTED)}; it needs all six networks, or generators only')


def convert_arrays(
    path: str,
    release: str,
    arrays: Mapping[str, Any],
    networks: list[str],
    image_size: int | None,
    settings: Mapping[str, Any] | None = None,
) -> OfficialCheckpoint:
    """Weights and config from the official arrays of `networks`; `settings` are fields that do not follow from shapes."""
    settings = infer_settings(path, release, arrays, networks, image_size) | dict(settings or {})
    config = default.get_config()
    defaults = by_dotted_name(config.to_dict())
    config.update_from_flattened_dict(settings)
    config = resolve(config)
    names = OfficialNames.of_config(release, config)
    arrays = {name: as_float32(path, name, value) for name, value in arrays.items()}
    validate_arrays(path, names, config, arrays, networks)
    changed = {name: value for name, value in settings.items() if value != defaults[name]}
    return OfficialCheckpoint(release, changed, config, *read_networks(names, arrays, networks))


def as_float32(path: str, name: str, value: Any) -> np.ndarray:
    """An array of weights as float32; raises UserError for anything else."""
    if not isinstance(value, np.ndarray):
        raise UserError(f'{path}: {name} is a {type(value).__name__}, not an array')
    if value.dtype in HALVES:
        value = value.astype(np.float32)
    if value.dtype != np.float32:
        raise UserError(f'{path}: {name} is {value.dtype}, and weights are float32; convert it first')
    return value
