"""From an official checkpoint to a workdir, and from a workdir to files for others."""

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.checkpoint.generators import load_generators, workdir_of
from ugatit_jax.config.reference import reference_fields
from ugatit_jax.convert.official_names import unstack_blocks, write_networks
from ugatit_jax.convert.read_official import RELEASES, Moments, OfficialCheckpoint, make_layout, read_tensorflow, read_torch
from ugatit_jax.errors import UserError, first_line
from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS
from ugatit_jax.training.state import start_state, to_items

OFFICIAL_ORDER = ('genA2B', 'genB2A', 'disGA', 'disGB', 'disLA', 'disLB')
# what both releases have, whatever `reference` is
BOTH_RELEASES = dict(decoder_norm='adalin', up_norm='lin', generator_cam=True, discriminator_cam=True, spectral_norm=True)
WHILE_TRAINING = ('rho_init', 'weight_init', 'spectral_in_eval')  # fields of `model` that trained weights do not show


class Own(NamedTuple):
    """Weights of one of our checkpoints."""

    where: str
    step: int
    config: ConfigDict
    params: dict[str, Any]  # by network
    spectral: dict[str, Any]  # by discriminator; {} for generators alone


def convert(
    source: str,
    target: str,
    *,
    image_size: int | None = None,
    direction: str | None = None,
    smoothing: bool | None = None,
    weights: str = 'raw',
) -> list[str]:
    """Converts one to the other and returns the lines to print; raises UserError, and never overwrites."""
    if os.path.lexists(target):
        raise UserError(f'--to={target} exists already, and nothing is overwritten; name another')
    suffix = pathlib.Path(target).suffix
    if suffix in ('.pth', '.ckpt', '.npz', '.onnx', '.bin'):
        raise UserError(f'--to={target}: {suffix} is not written; take a folder, NAME.pt or NAME.safetensors')
    official = dict(image_size=image_size, direction=direction, smoothing=smoothing)
    if workdir_of(source):
        if suffix not in WRITERS:
            raise UserError(f'--from={source} is of this project already; --to is NAME.pt or NAME.safetensors then')
        validate_flags(official, 'an official checkpoint')
        own = read_own(source, weights)
        WRITERS[suffix](target, own)
        return [f'wrote {target}: {", ".join(own.params)} of {own.where}']
    if suffix in WRITERS:
        raise UserError(f'--to={target} is made of a workdir of this project; convert {source} to a folder before')
    if weights != 'raw':
        raise UserError(f'--weights={weights} is for a workdir; an official checkpoint has one set of weights')
    released = read_official(source, **official)
    write_workdir(target, released)
    return report(source, target, released)


def validate_flags(flags: dict[str, Any], only_for: str) -> None:
    """Raises UserError for a flag that would have no effect."""
    for name, value in flags.items():
        if value is not None:
            raise UserError(f'--{name}={value} is for {only_for}; leave it out')


def read_official(path: str, image_size: int | None, direction: str | None, smoothing: bool | None) -> OfficialCheckpoint:
    """What an official checkpoint holds, of whichever release; raises UserError."""
    if os.path.isdir(path) or os.path.exists(f'{path}.index') or path.endswith('.index'):
        validate_flags(dict(direction=direction), 'a PyTorch file of one generator')
        return read_tensorflow(path, image_size, smoothing)
    if not os.path.exists(path):
        raise UserError(f'--from={path}: there is no such file, folder or TensorFlow prefix')
    validate_flags(dict(smoothing=smoothing), 'a TensorFlow checkpoint')
    return read_torch(path, image_size, direction)


def write_workdir(workdir: str, released: OfficialCheckpoint) -> None:
    """Writes a checkpoint from which main continues: with the file's step and optimiser, or 0 and fresh ones."""
    config = released.config
    # what a run that continues has to agree with; the rest (data, rates, losses) is the run's own
    decided = [f'model.{name}' for name in config.model if name not in WHILE_TRAINING]
    decided += ['data.channels_A', 'data.channels_B', 'training.ema_decay']
    if config.model.mlp_pool == 'full':
        decided.append('data.image_size')
    try:
        checkpoints = Checkpoints(workdir)
    except OSError as error:
        raise UserError(f'--to={workdir} cannot be made: {first_line(error)}; name a folder that can be written') from error
    weights = jax.tree.map(jnp.asarray, (released.generator, released.discriminator, released.spectral))
    saved_config = as_json(config) | {'converted': decided}
    if released.discriminator:
        state = start_state(config, *weights, jax.random.key(config.seed))
        if released.moments:
            generators, discriminators = released.moments
            state = state.replace(
                step=jnp.asarray(released.step, jnp.int32),
                generator_opt=carried(state.generator_opt, generators, released.step),
                discriminator_opt=carried(state.discriminator_opt, discriminators, released.step),
            )
        items = to_items(state)
    else:
        items = {'generators': {'raw': weights[0], 'ema': {}}}
    checkpoints.write(released.step, saved_config, **items)
    checkpoints.close()


def carried(fresh: optax.OptState, moments: Moments, step: int) -> optax.OptState:
    """The optimiser's state with Adam's averages of another, and the schedule at `step`."""

    def part(state: Any) -> Any:
        if isinstance(state, optax.ScaleByAdamState):
            return optax.ScaleByAdamState(
                jnp.asarray(moments.count, jnp.int32), *jax.tree.map(jnp.asarray, (moments.mean, moments.square))
            )
        if isinstance(state, optax.ScaleByScheduleState):
            return optax.ScaleByScheduleState(jnp.asarray(step, jnp.int32))
        return state

    return tuple(part(state) for state in fresh)


def report(source: str, target: str, released: OfficialCheckpoint) -> list[str]:
    """What was read and written, and how to go on."""
    c = released.config
    kind = 'full' if c.model.mlp_pool == 'full' else 'light'
    networks = ', '.join([*released.generator, *released.discriminator])
    lines = [
        f'{source}: {RELEASES[released.release]} release, {kind} model, ch {c.model.ch}, n_res {c.model.n_res}, '
        f'channels {c.data.channels_A} and {c.data.channels_B}, {c.data.image_size} pixels'
        + (' (the file does not tell; --image_size=N says otherwise)' if kind == 'light' else ''),
        f'wrote {target}/checkpoints/{released.step}: {networks}',
    ]
    if not released.discriminator:
        return [*lines, 'it can translate; without discriminators it cannot be trained on']
    flags = ''.join(f' --config.{name}={value}' for name, value in released.settings.items())
    start = (
        f"with the file's optimisers, from step {released.step}"
        if released.moments
        else ('with fresh optimisers, from step 0: the file has none')
    )
    return [
        *lines,
        f'to train on {start}:',
        f'  python -m ugatit_jax.main --config=configs/default.py --workdir={target}{flags} --config.data.source=...',
    ]


def read_own(path: str, weights: str) -> Own:
    """Networks of one of our checkpoints, the generators raw or averaged; raises UserError."""
    loaded = load_generators(path, weights=weights)
    params, spectral = loaded.generator, {}
    checkpoints = Checkpoints(workdir_of(path)[0])
    if checkpoints.has(loaded.step, 'training'):
        training = checkpoints.read(loaded.step, 'training', 'discriminator', 'spectral')
        params, spectral = params | training['discriminator'], training['spectral']
    checkpoints.close()
    params = {name: params[name] for name in OFFICIAL_ORDER if name in params}
    return Own(loaded.where, loaded.step, loaded.config, params, spectral)


def unlike_pytorch(own: Own) -> list[str]:
    """The fields in which a model differs from every model of the PyTorch release."""
    config, m = own.config, own.config.model
    fields = BOTH_RELEASES | reference_fields('pytorch', m.ch, m.n_res)['model']
    unlike = [
        f'model.{name}={m[name]} (there {value})'
        for name, value in fields.items()
        if name not in WHILE_TRAINING and m[name] != value
    ]
    if m.mlp_pool not in ('1', 'full'):
        unlike.append(f"model.mlp_pool={m.mlp_pool} (there '1' or 'full')")
    # its UGATIT.py builds these, whatever its flags say
    unlike += [
        f'model.{name}={m[name]} (there {depth})'
        for name, depth in (('n_layers_global', 7), ('n_layers_local', 5))
        if own.spectral and m[name] != depth
    ]
    unlike += [
        f'data.{name}={config.data[name]} (there 3)' for name in ('channels_A', 'channels_B') if config.data[name] != 3
    ]
    return unlike


def official_arrays(own: Own) -> dict[str, np.ndarray]:
    """The networks under the PyTorch release's names: 'genA2B/DownBlock.1.weight'."""
    generators = {name: value for name, value in own.params.items() if name in GENERATORS}
    discriminators = {name: value for name, value in own.params.items() if name in DISCRIMINATORS}
    layout = make_layout('pytorch', own.config)
    return write_networks(layout, generators) | write_networks(layout, discriminators, own.spectral)


def write_torch(path: str, own: Own) -> None:
    """Writes a checkpoint that the PyTorch release loads strictly; raises UserError where it has no such model."""
    if unlike := unlike_pytorch(own):
        raise UserError(
            f'{own.where} cannot be a PyTorch checkpoint: that release has no such model, {", ".join(unlike)}; '
            '--to=NAME.safetensors takes it'
        )
    try:
        import torch
    except ImportError as error:
        raise UserError(f'--to={path} needs torch: pip install torch, or ugatit_jax[torch]') from error
    from collections import OrderedDict

    networks: dict[str, Any] = {name: OrderedDict() for name in own.params}
    for name, value in official_arrays(own).items():
        network, _, key = name.partition('/')
        networks[network][key] = torch.from_numpy(value.copy())
    for weights in networks.values():
        # old versions of torch take weights without this note for those of an older spectral norm
        weights._metadata = OrderedDict(
            (key.removesuffix('.weight_u'), {'version': 1, 'spectral_norm': {'weight.version': 1}})
            for key in weights
            if key.endswith('.weight_u')
        )
    write_whole(path, lambda partial: torch.save(networks, partial))


def write_safetensors(path: str, own: Own) -> None:
    """Writes float32 arrays: a PyTorch model's as 'genA2B.OFFICIAL_NAME', another's as 'genA2B.OUR.PATH'."""
    try:
        from safetensors.numpy import save
    except ImportError as error:
        raise UserError(f'--to={path} needs safetensors: pip install safetensors, or ugatit_jax[safetensors]') from error
    # depth and channels of other models are no matter here: the names hold for them
    official = own.config.model.reference == 'pytorch' and not any(
        text.startswith('model.') and not text.startswith('model.n_layers') for text in unlike_pytorch(own)
    )
    if official:
        arrays = official_arrays(own)
    else:
        arrays = flat({name: unstack_blocks(tree) for name, tree in own.params.items()})
        arrays |= flat(own.spectral, 'spectral/')
    arrays = {name.replace('/', '.'): np.ascontiguousarray(value) for name, value in arrays.items()}
    metadata = {
        'format': 'np',
        'names': 'pytorch' if official else 'ugatit_jax',
        'step': str(own.step),
        'config': json.dumps(as_json(own.config)),
    }
    write_whole(path, lambda partial: pathlib.Path(partial).write_bytes(save(arrays, metadata)))


def flat(tree: dict[str, Any], prefix: str = '') -> dict[str, np.ndarray]:
    """{'a/b/c': leaf} of nested dicts."""
    result = {}
    for name, value in tree.items():
        result |= flat(value, f'{prefix}{name}/') if isinstance(value, dict) else {prefix + name: np.asarray(value)}
    return result


def write_whole(path: str, write: Callable[[str], None]) -> None:
    """Writes a file beside, then gives it its name, so that a half-written one never has it."""
    partial = f'{path}.partial'
    try:
        write(partial)
        os.rename(partial, path)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError for a folder that is not there
        pathlib.Path(partial).unlink(missing_ok=True)
        raise UserError(f'--to={path} cannot be written: {first_line(error)}') from error


WRITERS = {'.pt': write_torch, '.safetensors': write_safetensors}
