"""A workdir of this project -> a file for others: NAME.pt of the PyTorch release, or NAME.safetensors."""

import contextlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from flax.traverse_util import flatten_dict
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import atomic_file
from ugatit_jax.config.reference import reference_fields
from ugatit_jax.convert.official_layout import unstack_blocks, write_networks
from ugatit_jax.convert.official_names import NETWORKS, OfficialNames
from ugatit_jax.convert.official_sizes import DEPTHS, TRAINING_ONLY

# what both releases have, whatever model.reference is
BOTH_RELEASES = dict(
    decoder_norm='adalin',
    up_norm='lin',
    stem_norm=True,
    generator_cam=True,
    discriminator_cam=True,
    spectral_norm=True,
    n_down=2,
    separable=False,
    stem_kernel=7,
    pixel_unshuffle=1,
    image_skip=False,
    discriminator_ch=0,
)


class LoadedNetworks(NamedTuple):
    """The networks of one checkpoint of ours."""

    where: str  # the checkpoint's folder
    step: int
    config: ConfigDict
    params: dict[str, Any]  # numpy, by network
    spectral: dict[str, Any]  # u and v by discriminator; {} for generators alone


def load_networks(path: str, weights: str = 'raw') -> LoadedNetworks:
    """Loads the networks of a workdir or checkpoint, the generators 'raw' or 'ema'; raises UserError."""
    loaded = load_generators(path, weights=weights)
    params, spectral = loaded.generator, {}
    checkpoints = Checkpoints(loaded.workdir)
    if checkpoints.has(loaded.step, 'training'):
        training = checkpoints.read(loaded.step, 'training', 'discriminator', 'spectral')
        params, spectral = params | training['discriminator'], training['spectral']
    checkpoints.close()
    params = {name: params[name] for name in NETWORKS if name in params}
    return LoadedNetworks(loaded.where, loaded.step, loaded.config, params, spectral)


def differences_from_pytorch(networks: LoadedNetworks) -> list[str]:
    """The fields in which a model differs from every model of the PyTorch release: ['model.n_layers_global=4 (there 7)']."""
    config, m = networks.config, networks.config.model
    fields = BOTH_RELEASES | reference_fields('pytorch', m.ch, m.n_res, config.data.image_size)['model']
    differences = [
        f'model.{name}={m[name]} (there {value})'
        for name, value in fields.items()
        if name not in TRAINING_ONLY and m[name] != value
    ]
    if m.mlp_pool not in ('1', 'full'):
        differences.append(f"model.mlp_pool={m.mlp_pool} (there '1' or 'full')")
    if networks.spectral:  # it has discriminators
        differences += [f'model.{name}={m[name]} (there {depth})' for name, depth in DEPTHS.items() if m[name] != depth]
    channels = {name: config.data[name] for name in ('channels_A', 'channels_B')}
    return differences + [f'data.{name}={number} (there 3)' for name, number in channels.items() if number != 3]


def official_arrays(networks: LoadedNetworks) -> dict[str, np.ndarray]:
    """The networks under the PyTorch release's names: 'genA2B/DownBlock.1.weight'."""
    return write_networks(OfficialNames.of_config('pytorch', networks.config), networks.params, networks.spectral)


def write_torch(path: str, networks: LoadedNetworks) -> None:
    """Writes a file that the PyTorch release loads strictly; raises UserError where that release has no such model."""
    if differences := differences_from_pytorch(networks):
        raise UserError(
            f'{networks.where} cannot be a PyTorch checkpoint: that release has no such model, {", ".join(differences)}; '
            '--to=NAME.safetensors takes it'
        )
    try:
        import torch
    except ImportError as error:
        raise UserError(f'--to={path} needs torch: pip install torch, or ugatit_jax[torch]') from error
    tree: dict[str, Any] = {name: OrderedDict() for name in networks.params}
    for name, value in official_arrays(networks).items():
        network, _, key = name.partition('/')
        tree[network][key] = torch.from_numpy(value.copy())
    for weights in tree.values():
        # without this note old versions of torch take the weights for those of an older spectral norm
        weights._metadata = OrderedDict(
            (key.removesuffix('.weight_u'), {'version': 1, 'spectral_norm': {'weight.version': 1}})
            for key in weights
            if key.endswith('.weight_u')
        )
    with write_errors(path), atomic_file(path) as partial, open(partial, 'wb') as file:
        torch.save(tree, file)


def write_safetensors(path: str, networks: LoadedNetworks) -> None:
    """Writes float32 arrays: of a PyTorch model as 'genA2B.OFFICIAL_NAME', of any other as 'genA2B.OUR.PATH'."""
    # models of other depths and channels have official names, too
    official = networks.config.model.reference == 'pytorch' and not any(
        text.startswith('model.') and not text.startswith('model.n_layers') for text in differences_from_pytorch(networks)
    )
    if official:
        arrays = official_arrays(networks)
    else:
        arrays = {
            f'{network}/{path}': value
            for network, tree in networks.params.items()
            for path, value in unstack_blocks(flatten_dict(tree, sep='/')).items()
        }
        arrays |= {f'spectral/{path}': value for path, value in flatten_dict(networks.spectral, sep='/').items()}
    metadata = {
        'format': 'np',
        'names': 'pytorch' if official else 'ugatit_jax',
        'step': str(networks.step),
        'config': json.dumps(as_json(networks.config)),
    }
    arrays = {name.replace('/', '.'): np.ascontiguousarray(value) for name, value in arrays.items()}
    with write_errors(path), atomic_file(path) as partial, open(partial, 'wb') as file:
        file.write(safetensors.numpy.save(arrays, metadata))


@contextlib.contextmanager
def write_errors(path: str) -> Iterator[None]:
    """Raises UserError for an error of writing to --to=PATH."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where a write fails
        raise UserError(f'--to={path} cannot be written: {first_line(error)}') from error


WRITERS = {'.pt': write_torch, '.safetensors': write_safetensors}  # by suffix of --to
