"""Reads a checkpoint of either official release: which networks, how large, and their weights as ours.

The file's names say which release it is and how deep the networks are, its shapes say the rest. Every array is then held
against the shapes that our networks have for these sizes, so that what is converted is complete and of one piece.
"""

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from ugatit_jax.checkpoint import tensorflow_file, torch_file
from ugatit_jax.config import default
from ugatit_jax.config.reference import reference_fields
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert.official_names import Entry, Layout, get, official_shape, read_networks
from ugatit_jax.errors import UserError
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS, Networks, make_networks
from ugatit_jax.models.spectral_norm import COLLECTION, select_group

NETWORKS = GENERATORS + DISCRIMINATORS
RELEASES = {'pytorch': 'PyTorch', 'tensorflow': 'TensorFlow'}
# number of blocks or layers from the largest number in these names, and what to add to it
BLOCKS = {'pytorch': (r'UpBlock1_(\d+)\.', 0), 'tensorflow': (r'adaptive_resblock(\d+)/', 1)}
LAYERS = {'pytorch': (r'model\.(\d+)\.bias$', 2), 'tensorflow': (r'conv_(\d+)/kernel$', 3)}
WIDENED = (np.float16, ml_dtypes.bfloat16)  # become float32 without loss


class Moments(NamedTuple):
    """Adam's state of one kind of network: its number of updates, and both averages as trees like the weights."""

    count: int
    mean: dict[str, Any]
    square: dict[str, Any]


class OfficialCheckpoint(NamedTuple):
    """What an official file holds, as ours."""

    release: str  # 'pytorch' | 'tensorflow'
    settings: dict[str, Any]  # fields that it decides and that are not the default's: {'model.ch': 32}
    config: ConfigDict  # resolved
    generator: dict[str, Any]
    discriminator: dict[str, Any]  # {} where it has generators only
    spectral: dict[str, Any]
    step: int
    moments: tuple[Moments, Moments] | None  # of generators, discriminators; None where it has none


def read_torch(path: str, image_size: int | None = None, direction: str | None = None) -> OfficialCheckpoint:
    """Networks of a file of torch.save; `direction` is that of a lone generator. Raises UserError."""
    tree = torch_file.load(path)
    if not isinstance(tree, dict) or not tree:
        raise UserError(f'{path} holds a {type(tree).__name__}, not a dictionary of networks or weights')
    if 'DownBlock.1.weight' in tree:
        if direction is None:
            raise UserError(f'{path} is one generator and does not say which: add --direction=A2B or --direction=B2A')
        tree = {f'gen{direction}': tree}
    elif direction is not None:
        raise UserError(f'{path} names its networks, so --direction={direction} says nothing; leave it out')
    check_networks(path, [name for name in tree if name in NETWORKS], [str(name) for name in tree if name not in NETWORKS])
    arrays = {}
    for network, weights in tree.items():
        if not isinstance(weights, dict):
            raise UserError(f'{path}: {network} is a {type(weights).__name__}, not a state_dict')
        arrays |= {f'{network}/{name}': value for name, value in weights.items()}
    return assemble(path, 'pytorch', arrays, list(tree), image_size)


def read_tensorflow(path: str, image_size: int | None = None, smoothing: bool | None = None) -> OfficialCheckpoint:
    """Networks of a TensorFlow checkpoint, with Adam's moments; `smoothing` is how it was trained. Raises UserError."""
    file = tensorflow_file.load(path)
    prefixes = {name: Layout('tensorflow', 0, {}, (0, 0)).prefix(name) for name in NETWORKS}
    present = [name for name, prefix in prefixes.items() if any(key.startswith(prefix) for key in file.weights)]
    extra = [name for name in file.weights if not name.startswith(tuple(prefixes.values()))]
    check_networks(file.prefix, present, extra, prefixes)
    if smoothing is None:
        smoothing = file.smoothing
    settings = {} if smoothing else {'model.rho_smoothing': 0.0}
    released = assemble(file.prefix, 'tensorflow', file.weights, present, image_size, settings)
    if not file.means or not released.discriminator:
        return released
    layout, moments = layout_of(released), []
    # the spectral vectors have no moments; themselves in their place, they are read and left out
    vectors = {name: value for name, value in file.weights.items() if name.endswith('/u')}
    for slots in (file.means, file.squares):
        check_arrays(file.prefix, layout, released.config, {**slots, **vectors}, present, "Adam's state of ")
        moments.append(read_networks(layout, {**slots, **vectors}, present)[:2])
    (g_mean, d_mean), (g_square, d_square) = moments
    counts = file.counts
    return released._replace(
        step=file.step, moments=(Moments(counts[0], g_mean, g_square), Moments(counts[1], d_mean, d_square))
    )


def check_networks(
    path: str, present: Collection[str], extra: Collection[str], names: Mapping[str, str] | None = None
) -> None:
    """Raises UserError unless a file has the six networks, or generators only, and nothing else."""

    def listed(items: Collection[str]) -> str:
        items = list(items)
        return ', '.join(items[:4]) + (f' and {len(items) - 4} more' if len(items) > 4 else '')

    if not any(name in GENERATORS for name in present):
        raise UserError(f'{path} is not a checkpoint of U-GAT-IT: it has {listed([*present, *extra])}')
    if extra:
        raise UserError(f'{path} has more than the networks of U-GAT-IT: {listed(extra)}; save it without')
    missing = [(names or {}).get(name, name).rstrip('/') for name in NETWORKS if name not in present]
    if missing and any(name in DISCRIMINATORS for name in present):
        raise UserError(f'{path} lacks {listed(missing)}; it needs all six networks, or generators only')


def assemble(
    path: str,
    release: str,
    arrays: Mapping[str, Any],
    names: list[str],
    image_size: int | None,
    settings: Mapping[str, Any] | None = None,
) -> OfficialCheckpoint:
    """Our weights and config from the arrays of some networks; `settings` are what their shapes do not tell."""
    settings = {**sizes(path, release, arrays, names, image_size), **(settings or {})}
    config = default.get_config()
    with config.unlocked():
        config.update_from_flattened_dict(settings)
    config = resolve(config)
    plain = default.get_config()
    settings = {name: value for name, value in settings.items() if value != get(plain, name.replace('.', '/'))}
    released = OfficialCheckpoint(release, settings, config, {}, {}, {}, 0, None)
    layout = layout_of(released)
    arrays = {name: as_float32(path, name, value) for name, value in arrays.items()}
    check_arrays(path, layout, config, arrays, names)
    generator, discriminator, spectral = read_networks(layout, arrays, names)
    return released._replace(generator=generator, discriminator=discriminator, spectral=spectral)


def as_float32(path: str, name: str, value: Any) -> np.ndarray:
    """A weight as float32; raises UserError for what is not one."""
    if not isinstance(value, np.ndarray):
        raise UserError(f'{path}: {name} is a {type(value).__name__}, not an array')
    if value.dtype in WIDENED:
        value = value.astype(np.float32)
    if value.dtype != np.float32:
        raise UserError(f'{path}: {name} is {value.dtype}, where weights are float32; convert them before')
    return value


def layout_of(released: OfficialCheckpoint) -> Layout:
    """Sizes of a file's networks as the tables need them."""
    return make_layout(released.release, released.config)


def make_layout(release: str, config: ConfigDict) -> Layout:
    """Sizes of a config's networks as the tables need them."""
    m, side = config.model, config.data.image_size // 4
    return Layout(release, m.n_res, {'disG': m.n_layers_global, 'disL': m.n_layers_local}, (side, side))


def sizes(path: str, release: str, arrays: Mapping[str, Any], names: list[str], image_size: int | None) -> dict[str, Any]:
    """The config's fields that names and shapes tell; raises UserError where an array that tells one is missing."""
    layout = Layout(release, 0, {}, (0, 0))

    def channels(network: str, ours: str) -> tuple[int, int]:
        """(inputs, outputs) of a kernel."""
        entry = next(entry for entry in layout.table(network) if entry.ours == ours)
        name = layout.prefix(network) + entry.official
        if name not in arrays:
            raise UserError(f'{path} lacks {name}; it is not of U-GAT-IT, or incomplete')
        shape = np.shape(arrays[name])
        if len(shape) not in (2, 4):
            raise UserError(f'{path}: {name} is {list(shape)}, which no convolution or matrix is')
        return (shape[1], shape[0]) if release == 'pytorch' else (shape[-2], shape[-1])

    def largest(network: str, pattern: str) -> int | None:
        found = re.compile(re.escape(layout.prefix(network)) + pattern)
        return max((int(match[1]) for name in arrays if (match := found.match(name))), default=None)

    first = names[0]
    (ins, ch), (_, outs) = channels(first, 'stem/kernel'), channels(first, 'head/kernel')
    inputs, width = channels(first, 'mlp_0/kernel')
    features = channels(first, 'cam/kernel')[1]
    pattern, more = BLOCKS[release]
    n_res = largest(first, pattern)
    n_res = 0 if n_res is None else n_res + more
    A, B = (ins, outs) if first == 'genA2B' else (outs, ins)
    full = inputs != features
    side = int(round((inputs / features) ** 0.5)) if features else 0
    if full and side * side * features != inputs:
        raise UserError(
            f'{path}: the first MLP matrix of {first} has {inputs} inputs, which are not {features} channels (of its CAM) '
            'on a square'
        )
    if full and image_size not in (None, 4 * side):
        raise UserError(f'{path} is a full model for {4 * side} pixels, and --image_size={image_size}; leave that out')
    image_size = 4 * side if full else image_size or 256
    reference = 'pytorch' if release == 'pytorch' else 'paper'
    settings = {
        'model.reference': reference,
        'model.ch': ch,
        'model.n_res': n_res,
        'model.mlp_pool': 'full' if full else '1',
        'data.image_size': image_size,
        'data.channels_A': A,
        'data.channels_B': B,
    }
    fields = reference_fields(reference, ch, n_res)['model']
    if width != fields['mlp_width']:
        settings['model.mlp_width'] = width
    if A != B:  # what such networks were trained with, and what the config has to say
        settings |= {'loss.identity_weight': 0.0, 'loss.cam_weight': 0.0}
    for field, network, usual in (('n_layers_global', 'disGA', 7), ('n_layers_local', 'disLA', 5)):
        pattern, more = LAYERS[release]
        number = largest(network, pattern)
        if number is not None:
            depth = number // 3 + more if release == 'pytorch' else number + more
        else:  # of a file of generators, nothing tells it: the usual one, or what fits the image
            depth = next((d for d in range(usual, 1, -1) if fits(image_size, d, fields['patch_padding'])), usual)
        settings[f'model.{field}'] = depth
    return settings


def check_arrays(
    path: str, layout: Layout, config: ConfigDict, arrays: Mapping[str, Any], names: Collection[str], what: str = ''
) -> None:
    """Raises UserError for the first array that is missing, not of the network, or of another shape than follows."""
    networks, m = make_networks(config), config.model
    for network in names:
        prefix, table = layout.prefix(network), list(layout.table(network))
        present = {name for name in arrays if name.startswith(prefix)}
        expected = {prefix + entry.official: entry for entry in table}
        missing, extra = sorted(expected.keys() - present), sorted(present - expected.keys())
        sizes_are = f'ch {m.ch}, n_res {m.n_res}' if network in GENERATORS else f'{layout.n_layers[network[:4]]} layers'
        if missing:
            raise UserError(f'{path} lacks {what}{missing[0]} ({len(missing)} in all), which follows from {sizes_are}')
        if extra:
            raise UserError(f'{path} has {what}{extra[0]} ({len(extra)} in all), which {sizes_are} does not have')
        shapes = network_shapes(networks, network, config)
        for name, entry in expected.items():
            is_, should = np.shape(arrays[name]), official_shape(entry, our_shape(shapes, entry))
            if is_ != should:
                raise UserError(
                    f'{path}: {what}{name} is {list(is_)}, and has to be {list(should)} for ch {m.ch}, n_res {m.n_res}, '
                    f'{config.data.image_size} pixels, as other arrays say'
                )


def network_shapes(networks: Networks, name: str, config: ConfigDict) -> tuple[Any, Any]:
    """Trees of shapes of a network's parameters and spectral vectors; computes nothing."""
    domain = name[3] if name in GENERATORS else name[-1]
    return module_shapes(networks.module(name), config.data.image_size, config.data[f'channels_{domain}'])


@functools.cache
def module_shapes(module: nn.Module, side: int, channels: int) -> tuple[Any, Any]:
    """Trees of shapes of a module's parameters and spectral vectors, for images [1, side, side, channels]."""
    image = jax.ShapeDtypeStruct((1, side, side, channels), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), image)
    return variables['params'], jax.eval_shape(select_group, variables.get(COLLECTION, {}))


def our_shape(shapes: tuple[Any, Any], entry: Entry) -> tuple[int, ...]:
    """Shape of an entry's array; residual blocks are stacked."""
    params, spectral = shapes
    if entry.ours.startswith('spectral:'):
        return get(spectral, entry.ours.removeprefix('spectral:')).shape
    block = re.fullmatch(r'(encoder|decoder)_\d+/(.+)', entry.ours)
    return get(params, f'{block[1]}/{block[2]}').shape[1:] if block else get(params, entry.ours).shape
