"""Layouts of the two official releases' arrays: networks from theirs to ours and back, bit for bit.

| layout | official | ours |
|---|---|---|
| same | | |
| channels | [1, C, 1, 1] | [C] |
| row | [1, C] | [C] |
| conv | [out, in, h, w] | [h, w, in, out] |
| dense | [out, in] | [in, out] |
| flatten | dense, inputs of a full model in the order C, h, w | in the order h, w, C |
| v | of a convolution in the order in, h, w | in the order h, w, in |
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ugatit_jax.convert.official_names import NETWORKS, Entry, OfficialNames
from ugatit_jax.models.names import GENERATORS
from ugatit_jax.models.spectral_norm import EPS

AXES = {'conv': (3, 2, 0, 1), 'dense': (1, 0), 'flatten': (1, 0)}  # of our array, in the official order
BLOCK = re.compile(r'(encoder|decoder)_(\d+)/(.+)')  # path of a parameter in a residual block


def to_ours(layout: str, value: np.ndarray, kernel: tuple[int, ...], map_shape: tuple[int, int, int]) -> np.ndarray:
    """An official array in our layout.

    kernel: shape of our kernel that v belongs to; map_shape: (h, w, C) of the encoder's map, which a full model flattens.
    """
    if layout in ('channels', 'row'):
        return value.reshape(-1)
    if layout in ('conv', 'dense'):
        return value.transpose(np.argsort(AXES[layout]))
    if layout == 'v' and len(kernel) == 4:
        return value.reshape(kernel[2], *kernel[:2]).transpose(1, 2, 0).reshape(-1)
    if layout == 'flatten':
        h, w, channels = map_shape
        if value.shape[1] == channels:  # a light model's average over h and w
            return value.T
        return value.reshape(value.shape[0], channels, h, w).transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
    return value


def to_official(layout: str, value: np.ndarray, kernel: tuple[int, ...], map_shape: tuple[int, int, int]) -> np.ndarray:
    """Our array in the official layout: the inverse of `to_ours`."""
    if layout in ('channels', 'row'):
        return value.reshape(official_shape(layout, value.shape))
    if layout in ('conv', 'dense'):
        return value.transpose(AXES[layout])
    if layout == 'v' and len(kernel) == 4:
        return value.reshape(*kernel[:3]).transpose(2, 0, 1).reshape(-1)
    if layout == 'flatten':
        h, w, channels = map_shape
        if value.shape[0] == channels:
            return value.T
        return value.reshape(h, w, channels, -1).transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
    return value


def official_shape(layout: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an official array, from that of ours."""
    if layout == 'channels':
        return (1, *shape, 1, 1)
    if layout == 'row':
        return (1, *shape)
    return tuple(shape[axis] for axis in AXES[layout]) if layout in AXES else shape


def read_network(
    table: Iterable[Entry], official: Mapping[str, np.ndarray], map_size: tuple[int, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(params, u and v) of a network as nested dicts, from its official arrays; raises KeyError for a missing one.

    Where the release does not store v (TensorFlow), it is computed from u.
    """
    params, spectral = {}, {}  # by path
    for entry in table:  # a kernel comes before its u and v, the CAM before the MLP
        value = np.asarray(official[entry.official])
        kernel = params[kernel_of(entry)].shape if entry.is_spectral else ()
        map_shape = (*map_size, params['cam/bias'].size) if entry.layout == 'flatten' else (0, 0, 0)
        ours = np.ascontiguousarray(to_ours(entry.layout, value, kernel, map_shape))
        (spectral if entry.is_spectral else params)[entry.ours] = ours
        if entry.ours.endswith('/u'):
            kernel = params[kernel_of(entry)]
            v = kernel.reshape(-1, kernel.shape[-1]) @ ours
            spectral[entry.ours.removesuffix('u') + 'v'] = v / max(np.linalg.norm(v), EPS)  # replaced by a stored one
    return unflatten_dict(stack_blocks(params), '/'), unflatten_dict(spectral, '/')


def write_network(
    table: Iterable[Entry], params: dict[str, Any], spectral: dict[str, Any], map_size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The official arrays of a network, from (params, u and v) as nested dicts: the inverse of `read_network`."""
    params, spectral = unstack_blocks(flatten_dict(params, sep='/')), flatten_dict(spectral, sep='/')
    official = {}
    for entry in table:
        value = np.asarray((spectral if entry.is_spectral else params)[entry.ours])
        kernel = params[kernel_of(entry)].shape if entry.is_spectral else ()
        map_shape = (*map_size, params['cam/bias'].size) if entry.layout == 'flatten' else (0, 0, 0)
        official[entry.official] = np.ascontiguousarray(to_official(entry.layout, value, kernel, map_shape))
    return official


def kernel_of(entry: Entry) -> str:
    """Path of the kernel that u or v belongs to."""
    return entry.ours.rpartition('/')[0] + '/kernel'


def stack_blocks(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """{'encoder_0/PATH', 'encoder_1/PATH', ...} -> {'encoder/PATH': [n_res, ...]}, as the generator's scans have them."""
    stacked, blocks = {}, {}
    for path, leaf in params.items():
        if match := BLOCK.fullmatch(path):
            blocks.setdefault(f'{match[1]}/{match[3]}', {})[int(match[2])] = leaf
        else:
            stacked[path] = leaf
    return stacked | {path: np.stack([leaves[i] for i in range(len(leaves))]) for path, leaves in blocks.items()}


def unstack_blocks(params: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `stack_blocks`."""
    unstacked = {}
    for path, leaf in params.items():
        block, _, rest = path.partition('/')
        if block in ('encoder', 'decoder'):
            unstacked |= {f'{block}_{i}/{rest}': part for i, part in enumerate(np.asarray(leaf))}
        else:
            unstacked[path] = leaf
    return unstacked


def read_networks(
    names: OfficialNames, arrays: Mapping[str, np.ndarray], networks: Iterable[str] = NETWORKS
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(generators, discriminators, u and v), nested dicts by our names, from the arrays of a release's networks.

    arrays: by 'genA2B/DownBlock.1.weight' (PyTorch) or 'generator_B/conv/conv2d/kernel' (TensorFlow).
    """
    generator, discriminator, spectral = {}, {}, {}
    for network in networks:
        prefix = names.prefix(network)
        own = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
        params, vectors = read_network(names.table(network), own, names.map_size)
        if network in GENERATORS:
            generator[network] = params
        else:
            discriminator[network], spectral[network] = params, vectors
    return generator, discriminator, spectral


def write_networks(
    names: OfficialNames, params: Mapping[str, Any], spectral: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """The official arrays of the networks in `params`; without `spectral`, of their parameters alone."""
    arrays = {}
    for network in params:
        table = [entry for entry in names.table(network) if spectral is not None or not entry.is_spectral]
        own = write_network(table, params[network], (spectral or {}).get(network, {}), names.map_size)
        arrays |= {names.prefix(network) + name: value for name, value in own.items()}
    return arrays
