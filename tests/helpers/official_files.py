"""Official checkpoints of small random networks, workdirs of ours, and how tests convert them and read the results."""

import pathlib

import jax
import numpy as np
import pytest

from tests.helpers.goldens import Golden
from tests.helpers.small import small_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.errors import UserError
from ugatit_jax.convert.convert import convert
from ugatit_jax.convert.official_layout import official_shape
from ugatit_jax.convert.official_names import NETWORKS, OfficialNames
from ugatit_jax.convert.official_sizes import our_shape
from ugatit_jax.convert.to_files import LoadedNetworks, load_networks
from ugatit_jax.models.networks import make_networks, network_shapes
from ugatit_jax.training.state import init_state, to_items

STEP, BETA2 = 3, np.float32(0.999)


def tree_of(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """{'genA2B/x.weight': array} as the dict of state_dicts that an official file is."""
    networks: dict = {}
    for name, value in arrays.items():
        network, _, key = name.partition('/')
        networks.setdefault(network, {})[key] = value
    return networks


def golden_of(path: pathlib.Path) -> Golden:
    """A golden file, of the PyTorch release in float64."""
    with jax.enable_x64('pytorch' in path.stem):
        return Golden(str(path))


def write_tensorflow(prefix: pathlib.Path, variables: dict[str, np.ndarray]) -> None:
    """Writes a TensorFlow checkpoint of these variables."""
    import tensorflow as tf

    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[''] * len(names), tensors=[variables[n] for n in names]
    )


def official_of(config, release: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under a release's names for networks of this config."""
    modules, names, rng = make_networks(config), OfficialNames.of_config(release, config), np.random.default_rng(seed)
    arrays = {}
    for network in NETWORKS:
        shapes = network_shapes(modules, network, config)
        for entry in names.table(network):
            shape = official_shape(entry.layout, our_shape(shapes, entry))
            arrays[names.prefix(network) + entry.official] = rng.normal(size=shape).astype(np.float32)
    return arrays


def with_slots(arrays: dict[str, np.ndarray], generator_updates: int) -> dict[str, np.ndarray]:
    """A TensorFlow checkpoint's variables after STEP updates of the discriminators, with Adam's."""
    rng, variables = np.random.default_rng(1), dict(arrays)
    for name in arrays:
        if not name.endswith('/u'):
            for slot in ('Adam', 'Adam_1'):
                variables[f'{name}/{slot}'] = abs(rng.normal(size=arrays[name].shape)).astype(np.float32)
    for suffix, count in (('', generator_updates), ('_1', STEP)):
        product = BETA2
        for _ in range(count):
            product = product * BETA2
        variables |= {f'beta1_power{suffix}': np.float32(0.5 ** (count + 1)), f'beta2_power{suffix}': product}
    return variables


def write_workdirs(folder: pathlib.Path) -> dict[str, str]:
    """Writes workdirs of ours at step 0: {'paper', 'pytorch'}, the second with averaged generators that differ."""
    written = {}
    for reference, decay in (('paper', 0.0), ('pytorch', 0.9)):
        config = small_config(model__reference=reference, training__ema_decay=decay)
        state = init_state(make_networks(config), config)
        state = state.replace(ema=jax.tree.map(lambda x: x + 1, state.ema))
        written[reference] = str(folder / reference)
        checkpoints = Checkpoints(written[reference])
        checkpoints.save(0, to_items(state), config, {})
        checkpoints.close()
    return written


def networks_of(workdir: pathlib.Path) -> LoadedNetworks:
    """Networks and config of a workdir's newest checkpoint, as a later reader of it sees them."""
    return load_networks(str(workdir))


def training_of(workdir: pathlib.Path, *items: str) -> dict:
    """Items of the train state of a workdir's newest checkpoint: 'step', 'generator_opt'."""
    checkpoints = Checkpoints(str(workdir))
    training = checkpoints.read(checkpoints.latest(), 'training', *items)
    checkpoints.close()
    return training


def refusal(source: pathlib.Path, target: pathlib.Path, **options) -> str:
    """The one line with which `convert` refuses; it leaves no files."""
    before = sorted(target.parent.rglob('*'))
    with pytest.raises(UserError) as error:
        convert(str(source), str(target), **options)
    assert '\n' not in str(error.value)
    assert sorted(target.parent.rglob('*')) == before
    return str(error.value)
