"""Names of the two official releases' arrays beside ours: a table for each kind of network, read in both directions.

How a layout differs is in official_layout.py.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Self

from ml_collections import ConfigDict

from ugatit_jax.models.generator import min_side, side_multiple
from ugatit_jax.models.names import GENERATORS, reach_of

SIDE_MULTIPLE = side_multiple(2)  # of images: both releases halve the sides twice
MIN_SIDE = min_side(SIDE_MULTIPLE)
RELEASES = {'pytorch': 'PyTorch', 'tensorflow': 'TensorFlow'}
NETWORKS = ('genA2B', 'genB2A', 'disGA', 'disGB', 'disLA', 'disLB')  # in the order of a PyTorch release's file
TENSORFLOW_NETWORKS = {  # ours: theirs; generator_B makes B
    'genA2B': 'generator_B',
    'genB2A': 'generator_A',
    'disGA': 'discriminator_A/global',
    'disLA': 'discriminator_A/local',
    'disGB': 'discriminator_B/global',
    'disLB': 'discriminator_B/local',
}


class Entry(NamedTuple):
    """One array."""

    ours: str  # path of a parameter, 'stem/kernel', or of a spectral vector, 'conv_0/u'
    official: str
    layout: str = 'same'  # of theirs; official_layout.py lists them

    @property
    def is_spectral(self) -> bool:
        """Whether it is u or v of spectral normalisation and not a parameter."""
        return self.ours.endswith(('/u', '/v'))


def pytorch_generator(n_res: int) -> Iterator[Entry]:
    """The state_dict of the PyTorch release's ResnetGenerator."""
    yield Entry('stem/kernel', 'DownBlock.1.weight', 'conv')
    for i in range(2):
        yield Entry(f'down_{i}/kernel', f'DownBlock.{5 + 4 * i}.weight', 'conv')
    for i in range(n_res):
        for j in range(2):
            yield Entry(f'encoder_{i}/conv_{j}/kernel', f'DownBlock.{12 + i}.conv_block.{1 + 4 * j}.weight', 'conv')
            yield Entry(f'decoder_{i}/conv_{j}/kernel', f'UpBlock1_{i + 1}.conv{j + 1}.weight', 'conv')
            yield Entry(f'decoder_{i}/norm_{j}/rho', f'UpBlock1_{i + 1}.norm{j + 1}.rho', 'channels')
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
            yield Entry(f'up_norm_{i}/{name}', f'UpBlock2.{3 + 5 * i}.{name}', 'channels')
    yield Entry('head/kernel', 'UpBlock2.11.weight', 'conv')


def pytorch_discriminator(n_layers: int) -> Iterator[Entry]:
    """The state_dict of the PyTorch release's Discriminator, u and v included."""

    def spectral(ours: str, official: str, layout: str) -> Iterator[Entry]:
        yield Entry(f'{ours}/kernel', f'{official}.weight_orig', layout)
        yield Entry(f'{ours}/u', f'{official}.weight_u')
        yield Entry(f'{ours}/v', f'{official}.weight_v', 'v')

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
    """The TensorFlow release's variables of a generator, without its scope."""

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
    """The TensorFlow release's variables of a discriminator, without its scope, u included (it does not store v)."""
    names = [(f'conv_{i}', f'conv_{i}') for i in range(n_layers - 2)]
    names += [('conv_last', 'conv_last'), ('cam/classifier', 'CAM_logit'), ('logit', 'D_logit')]
    for ours, official in names:
        yield Entry(f'{ours}/kernel', f'{official}/kernel')
        yield Entry(f'{ours}/bias', f'{official}/bias')
        yield Entry(f'{ours}/u', f'{official}/u', 'row')
    for name in ('kernel', 'bias'):
        yield Entry(f'cam/{name}', f'conv_1x1/conv2d/{name}')


TABLES = {
    'pytorch': (pytorch_generator, pytorch_discriminator),
    'tensorflow': (tensorflow_generator, tensorflow_discriminator),
}


class OfficialNames(NamedTuple):
    """The arrays of a release's networks of given sizes."""

    release: str  # 'pytorch' | 'tensorflow'
    n_res: int
    n_layers: Mapping[str, int]  # by reach: {'disG': 7, 'disL': 5}
    map_size: tuple[int, int]  # of the encoder's map, which the first MLP matrix of a full model depends on

    @classmethod
    def of_config(cls, release: str, config: ConfigDict) -> Self:
        """The arrays of a resolved config's networks."""
        m, side = config.model, config.data.image_size // SIDE_MULTIPLE
        return cls(release, m.n_res, {'disG': m.n_layers_global, 'disL': m.n_layers_local}, (side, side))

    def prefix(self, network: str) -> str:
        """What the official names of one of our networks begin with: 'genA2B/' or 'generator_B/'."""
        return (network if self.release == 'pytorch' else TENSORFLOW_NETWORKS[network]) + '/'

    def table(self, network: str) -> Iterator[Entry]:
        """The arrays of one of our networks; official names without the prefix."""
        generator, discriminator = TABLES[self.release]
        return generator(self.n_res) if network in GENERATORS else discriminator(self.n_layers[reach_of(network)])
