"""Names and layouts of the two official releases' weights, and ours: one table each, read in both directions."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS

TENSORFLOW_NETWORKS = {  # ours: theirs; generator_B makes B
    'genA2B': 'generator_B',
    'genB2A': 'generator_A',
    'disGA': 'discriminator_A/global',
    'disLA': 'discriminator_A/local',
    'disGB': 'discriminator_B/global',
    'disLB': 'discriminator_B/local',
}


class Entry(NamedTuple):
    """One array: our path ('stem/kernel', 'spectral:conv_0/u'), the official name, and how its layout differs."""

    ours: str
    official: str
    layout: str = 'same'  # same | vector | conv | dense | flatten | v


def pytorch_generator(n_res: int) -> Iterator[Entry]:
    """Table of ResnetGenerator's state_dict."""
    yield Entry('stem/kernel', 'DownBlock.1.weight', 'conv')
    for i in range(2):
        yield Entry(f'down_{i}/kernel', f'DownBlock.{5 + 4 * i}.weight', 'conv')
    for i in range(n_res):
        for j in range(2):
            yield Entry(f'encoder_{i}/conv_{j}/kernel', f'DownBlock.{12 + i}.conv_block.{1 + 4 * j}.weight', 'conv')
            yield Entry(f'decoder_{i}/conv_{j}/kernel', f'UpBlock1_{i + 1}.conv{j + 1}.weight', 'conv')
            yield Entry(f'decoder_{i}/norm_{j}/rho', f'UpBlock1_{i + 1}.norm{j + 1}.rho', 'vector')
    yield Entry('cam/average/kernel', 'gap_fc.weight', 'dense')
    yield Entry('cam/max/kernel', 'gmp_fc.weight', 'dense')
    yield Entry('cam/kernel', 'conv1x1.weight', 'conv')
    yield Entry('cam/bias', 'conv1x1.bias')
    yield Entry('mlp_0/kernel', 'FC.0.weight', 'flatten')
    yield Entry('mlp_1/kernel', 'FC.2.weight', 'dense')
    for name in ('gamma', 'beta'):
        yield Entry(f'{name}/kernel', f'{name}.weight', 'dense')
    for i in range(2):
        yield Entry(f'up_{i}/kernel', f'UpBlock2.{2 + 5 * i}.weight', 'conv')
        for name in ('rho', 'gamma', 'beta'):
            yield Entry(f'up_norm_{i}/{name}', f'UpBlock2.{3 + 5 * i}.{name}', 'vector')
    yield Entry('head/kernel', 'UpBlock2.11.weight', 'conv')


def pytorch_discriminator(n_layers: int) -> Iterator[Entry]:
    """Table of Discriminator's state_dict, spectral vectors included."""

    def spectral(ours: str, official: str, layout: str) -> Iterator[Entry]:
        yield Entry(f'{ours}/kernel', f'{official}.weight_orig', layout)
        yield Entry(f'spectral:{ours}/u', f'{official}.weight_u')
        yield Entry(f'spectral:{ours}/v', f'{official}.weight_v', 'v')

    for i in range(n_layers - 1):
        name = f'conv_{i}' if i < n_layers - 2 else 'conv_last'
        yield from spectral(name, f'model.{1 + 3 * i}', 'conv')
        yield Entry(f'{name}/bias', f'model.{1 + 3 * i}.bias')
    yield from spectral('cam/average', 'gap_fc', 'dense')
    yield from spectral('cam/max', 'gmp_fc', 'dense')
    yield Entry('cam/kernel', 'conv1x1.weight', 'conv')
    yield Entry('cam/bias', 'conv1x1.bias')
    yield from spectral('logit', 'conv', 'conv')


def tensorflow_generator(n_res: int) -> Iterator[Entry]:
    """Table of a generator's variables below its scope."""

    def conv(ours: str, official: str, kind: str = 'conv2d') -> Iterator[Entry]:
        yield Entry(f'{ours}/kernel', f'{official}/{kind}/kernel')
        yield Entry(f'{ours}/bias', f'{official}/{kind}/bias')

    def norm(ours: str, official: str) -> Iterator[Entry]:
        yield Entry(f'{ours}/scale', f'{official}/gamma')
        yield Entry(f'{ours}/bias', f'{official}/beta')

    yield from conv('stem', 'conv')
    yield from norm('stem_norm', 'ins_norm')
    for i in range(2):
        yield from conv(f'down_{i}', f'conv_{i}')
        yield from norm(f'down_norm_{i}', f'ins_norm_{i}')
    for i in range(n_res):
        for j in range(2):
            yield from conv(f'encoder_{i}/conv_{j}', f'resblock_{i}/res{j + 1}/conv_0')
            yield from norm(f'encoder_{i}/norm_{j}', f'resblock_{i}/res{j + 1}/instance_norm')
            yield from conv(f'decoder_{i}/conv_{j}', f'adaptive_resblock{i}/res{j + 1}/conv_0')
            yield Entry(f'decoder_{i}/norm_{j}/rho', f'adaptive_resblock{i}/res{j + 1}/instance_layer_norm/rho')
    for name in ('kernel', 'bias'):
        yield Entry(f'cam/classifier/{name}', f'CAM_logit/{name}')
    yield from conv('cam', 'conv_1x1')
    for i in range(2):
        yield from conv(f'mlp_{i}', f'MLP/linear_{i}', 'dense')
    for name in ('gamma', 'beta'):
        yield from conv(name, f'MLP/{name}', 'dense')
    for i in range(2):
        yield from conv(f'up_{i}', f'up_conv_{i}')
        for name in ('rho', 'gamma', 'beta'):
            yield Entry(f'up_norm_{i}/{name}', f'layer_ins_norm_{i}/{name}')
    yield from conv('head', 'G_logit')


def tensorflow_discriminator(n_layers: int) -> Iterator[Entry]:
    """Table of a discriminator's variables below its scope, u included (v is not stored)."""
    names = [(f'conv_{i}', f'conv_{i}') for i in range(n_layers - 2)]
    names += [('conv_last', 'conv_last'), ('cam/classifier', 'CAM_logit'), ('logit', 'D_logit')]
    for ours, official in names:
        yield Entry(f'{ours}/kernel', f'{official}/kernel')
        yield Entry(f'{ours}/bias', f'{official}/bias')
        yield Entry(f'spectral:{ours}/u', f'{official}/u', 'vector')
    for name in ('kernel', 'bias'):
        yield Entry(f'cam/{name}', f'conv_1x1/conv2d/{name}')


def to_ours(layout: str, value: np.ndarray, kernel: tuple[int, ...], map_shape: tuple[int, int, int]) -> np.ndarray:
    """An official array in our layout; `kernel` is our kernel's shape (for v), map_shape the encoder map's (h, w, C)."""
    if layout == 'vector':
        return value.reshape(-1)
    if layout == 'conv':
        return value.transpose(2, 3, 1, 0)
    if layout == 'dense':
        return value.T
    if layout == 'v':  # of a convolution (in, kh, kw), here (kh, kw, in); of a dense layer the same
        return value if len(kernel) == 2 else value.reshape(kernel[2], *kernel[:2]).transpose(1, 2, 0).reshape(-1)
    if layout == 'flatten':
        h, w, channels = map_shape
        if value.shape[1] == channels:  # light: the average has no rows and columns
            return value.T
        return value.reshape(value.shape[0], channels, h, w).transpose(2, 3, 1, 0).reshape(-1, value.shape[0])
    return value


def to_official(layout: str, value: np.ndarray, kernel: tuple[int, ...], map_shape: tuple[int, int, int]) -> np.ndarray:
    """Our array in the official layout, the inverse of `to_ours` but for shapes [C] that a release has as [1, C, 1, 1]."""
    if layout == 'conv':
        return value.transpose(3, 2, 0, 1)
    if layout == 'dense':
        return value.T
    if layout == 'v':
        return value if len(kernel) == 2 else value.reshape(*kernel[:3]).transpose(2, 0, 1).reshape(-1)
    if layout == 'flatten':
        h, w, channels = map_shape
        if value.shape[0] == channels:
            return value.T
        return value.reshape(h, w, channels, -1).transpose(3, 2, 0, 1).reshape(value.shape[1], -1)
    return value


def official_shape(entry: Entry, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of an official array from that of ours."""
    if entry.layout == 'vector':  # PyTorch's norms are [1, C, 1, 1], TensorFlow's u is [1, C]
        return (1, *shape) if entry.ours.startswith('spectral:') else (1, *shape, 1, 1)
    axes = {'conv': (3, 2, 0, 1), 'dense': (1, 0), 'flatten': (1, 0)}.get(entry.layout)
    return tuple(shape[axis] for axis in axes) if axes else shape


def read_network(
    table: Iterator[Entry], official: Mapping[str, np.ndarray], map_size: tuple[int, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(params, spectral vectors) as nested dicts from an official network's arrays; raises KeyError for a missing one.

    Where the release stores no v (TensorFlow), it is computed from u.
    """
    params: dict[str, Any] = {}
    spectral: dict[str, Any] = {}
    for entry in table:
        value = np.asarray(official[entry.official])
        collection, path = (spectral, entry.ours[9:]) if entry.ours.startswith('spectral:') else (params, entry.ours)
        kernel = get(params, path.rsplit('/', 1)[0] + '/kernel').shape if collection is spectral else ()
        # the table has the CAM before the MLP: its bias is as wide as the map
        map_shape = (*map_size, params['cam']['bias'].size) if entry.layout == 'flatten' else (0, 0, 0)
        put(collection, path, np.ascontiguousarray(to_ours(entry.layout, value, kernel, map_shape)))
        if collection is spectral and path.endswith('/u'):
            kernel = get(params, path[:-2] + '/kernel')
            v = kernel.reshape(-1, kernel.shape[-1]) @ get(spectral, path)
            put(spectral, path[:-2] + '/v', v / max(np.linalg.norm(v), 1e-12))
    return stack_blocks(params), spectral


def write_network(
    table: Iterator[Entry], params: Mapping[str, Any], spectral: Mapping[str, Any], map_size: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Official names and layouts of a network's (params, spectral vectors): the inverse of `read_network`."""
    params = unstack_blocks(params)
    official = {}
    for entry in table:
        vectors = entry.ours.startswith('spectral:')
        path = entry.ours.removeprefix('spectral:')
        value = np.asarray(get(spectral if vectors else params, path))
        kernel = get(params, path.rsplit('/', 1)[0] + '/kernel').shape if vectors else ()
        value = to_official(entry.layout, value, kernel, (*map_size, params['cam']['bias'].size))
        if entry.layout == 'vector':
            value = value.reshape(official_shape(entry, value.shape))
        official[entry.official] = np.ascontiguousarray(value)
    return official


def stack_blocks(params: Mapping[str, Any]) -> dict[str, Any]:
    """{'encoder_0': ..., 'encoder_1': ...} -> {'encoder': leaves [n_res, ...]}, as Generator's scans keep them."""
    stacked = {name: value for name, value in params.items() if not name.startswith(('encoder_', 'decoder_'))}
    for name in ('encoder', 'decoder'):
        blocks = [params[f'{name}_{i}'] for i in range(sum(key.startswith(name + '_') for key in params))]
        if blocks:
            stacked[name] = jax.tree.map(lambda *leaves: np.stack(leaves), *blocks)
    return stacked


def unstack_blocks(params: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `stack_blocks`."""
    plain = {name: value for name, value in params.items() if name not in ('encoder', 'decoder')}
    for name in ('encoder', 'decoder'):
        if name in params:
            for i in range(len(params[name]['conv_0']['kernel'])):
                plain[f'{name}_{i}'] = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], params[name])
    return plain


def get(tree: Mapping[str, Any], path: str) -> Any:
    """The leaf at 'a/b/c'."""
    for part in path.split('/'):
        tree = tree[part]
    return tree


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Sets the leaf at 'a/b/c', making the branches."""
    *branches, leaf = path.split('/')
    for part in branches:
        tree = tree.setdefault(part, {})
    tree[leaf] = value


TABLES = {
    'pytorch': (pytorch_generator, pytorch_discriminator),
    'tensorflow': (tensorflow_generator, tensorflow_discriminator),
}


class Layout(NamedTuple):
    """What a release's names do not tell: which release, and the sizes of its networks."""

    release: str  # 'pytorch' | 'tensorflow'
    n_res: int
    n_layers: Mapping[str, int]  # of disG and disL
    map_size: tuple[int, int]  # of the encoder's map, for the full model

    def prefix(self, network: str) -> str:
        """'genA2B/' or 'generator_B/' of our network name."""
        return (network if self.release == 'pytorch' else TENSORFLOW_NETWORKS[network]) + '/'

    def table(self, network: str) -> Iterator[Entry]:
        """The entries of a network."""
        generator, discriminator = TABLES[self.release]
        return generator(self.n_res) if network in GENERATORS else discriminator(self.n_layers[network[:4]])


def read_networks(
    layout: Layout, arrays: Mapping[str, np.ndarray], names: Iterable[str] = GENERATORS + DISCRIMINATORS
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(generators, discriminators, spectral) by our names from the six networks of a release, or some of them.

    arrays are named 'genA2B/DownBlock.1.weight' (release 'pytorch') or 'generator_B/conv/conv2d/kernel' ('tensorflow').
    """
    generator, discriminator, spectral = {}, {}, {}
    for name in names:
        prefix = layout.prefix(name)
        own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        params, vectors = read_network(layout.table(name), own, layout.map_size)
        if name in GENERATORS:
            generator[name] = params
        else:
            discriminator[name], spectral[name] = params, vectors
    return generator, discriminator, spectral


def write_networks(
    layout: Layout, params: Mapping[str, Any], spectral: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """The official arrays of some of the six networks; without `spectral`, of parameters alone."""
    arrays = {}
    for name in params:
        table = [e for e in layout.table(name) if spectral is not None or not e.ours.startswith('spectral:')]
        own = write_network(iter(table), params[name], (spectral or {}).get(name, {}), layout.map_size)
        arrays |= {layout.prefix(name) + key: value for key, value in own.items()}
    return arrays
