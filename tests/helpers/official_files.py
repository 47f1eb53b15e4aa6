"""Official checkpoints of small random networks, and how tests read what became of them."""

import pathlib

import jax
import numpy as np
import pytest

from configs import default
from tests.helpers.goldens import Golden
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert import convert, official_names, read_official
from ugatit_jax.errors import UserError
from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS, make_networks
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
    with jax.enable_x64('pytorch' in path.stem):
        return Golden(str(path))


def write_tensorflow(prefix: pathlib.Path, variables: dict[str, np.ndarray]) -> None:
    import tensorflow as tf

    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[''] * len(names), tensors=[variables[n] for n in names]
    )


def small(reference: str, **fields):
    """A resolved config of networks of few weights."""
    config = default.get_config()
    config.model.reference, config.model.ch, config.model.n_res = reference, 2, 1
    config.data.image_size, config.model.n_layers_global, config.model.n_layers_local = 32, 4, 3
    for name, value in fields.items():
        group, field = name.split('__')
        config[group][field] = value
    return resolve(config)


def official_of(config, release: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under a release's names for networks of this config."""
    networks, layout, rng = make_networks(config), read_official.make_layout(release, config), np.random.default_rng(seed)
    arrays = {}
    for name in GENERATORS + DISCRIMINATORS:
        shapes = read_official.network_shapes(networks, name, config)
        for entry in layout.table(name):
            shape = official_names.official_shape(entry, read_official.our_shape(shapes, entry))
            arrays[layout.prefix(name) + entry.official] = rng.normal(size=shape).astype(np.float32)
    return arrays


def restored(workdir, *items: str) -> dict:
    """Networks and config of a workdir's newest checkpoint, as a later reader of it sees them."""
    checkpoints = Checkpoints(str(workdir))
    own = convert.read_own(str(workdir), 'raw')
    training = checkpoints.read(own.step, 'training', *items) if items else {}
    checkpoints.close()
    return {'own': own, **training}


def refused(source, target, **options) -> str:
    before = sorted(pathlib.Path(target).parent.rglob('*'))
    with pytest.raises(UserError) as error:
        convert.convert(str(source), str(target), **options)
    assert '\n' not in str(error.value)
    assert sorted(pathlib.Path(target).parent.rglob('*')) == before
    return str(error.value)


def with_slots(arrays: dict[str, np.ndarray], generator_updates: int) -> dict[str, np.ndarray]:
    """A TensorFlow checkpoint after STEP updates of the discriminators."""
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


def make_own_runs(folder: pathlib.Path) -> dict[str, str]:
    """Workdirs of this project at step 0: {'paper', 'pytorch'}, the second with averaged generators that differ."""
    made = {}
    for reference, decay in (('paper', 0.0), ('pytorch', 0.9)):
        config = small(reference, training__ema_decay=decay)
        state = init_state(make_networks(config), config)
        state = state.replace(ema=jax.tree.map(lambda x: x + 1, state.ema))
        made[reference] = str(folder / reference)
        checkpoints = Checkpoints(made[reference])
        checkpoints.save(0, to_items(state), config, {})
        checkpoints.close()
    return made
