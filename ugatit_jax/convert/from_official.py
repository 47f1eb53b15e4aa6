"""An official checkpoint -> a workdir of this project, from which main continues and everything else translates."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.common.files import make_folder
from ugatit_jax.config.derived import model_name
from ugatit_jax.convert.official_names import RELEASES
from ugatit_jax.convert.official_sizes import TRAINING_ONLY
from ugatit_jax.convert.read_official import AdamMoments, OfficialCheckpoint
from ugatit_jax.training.state import state_of_weights, to_items


def write_workdir(workdir: str, official: OfficialCheckpoint) -> None:
    """Writes a checkpoint: with the file's step and optimizer states, or at step 0 with fresh ones. Raises UserError."""
    config = official.config
    # what a run that continues has to agree with; the rest (data, learning rates, losses) is its own
    converted = [f'model.{name}' for name in config.model if name not in TRAINING_ONLY]
    converted += ['data.channels_A', 'data.channels_B', 'training.ema_decay']
    if config.model.mlp_pool == 'full':
        converted.append('data.image_size')
    checkpoints = Checkpoints(workdir)
    make_folder(checkpoints.directory, f'--to={workdir}')
    weights = jax.tree.map(jnp.asarray, (official.generator, official.discriminator, official.spectral))
    if official.discriminator:
        state = state_of_weights(config, *weights, jax.random.key(config.seed))
        if official.moments:
            generators, discriminators = official.moments
            state = state.replace(
                step=jnp.asarray(official.step, jnp.int32),
                generator_opt=with_moments(state.generator_opt, generators),
                discriminator_opt=with_moments(state.discriminator_opt, discriminators),
            )
        items = to_items(state)
    else:
        items = {'generators': {'raw': weights[0], 'ema': {}}}
    checkpoints.write(official.step, as_json(config) | {'converted': converted}, **items)
    checkpoints.close()


def with_moments(fresh: optax.OptState, moments: AdamMoments) -> optax.OptState:
    """An optimizer state with these moments of Adam, and the learning-rate schedule after as many updates."""

    def part(state: Any) -> Any:
        if isinstance(state, optax.ScaleByAdamState):
            return optax.ScaleByAdamState(
                jnp.asarray(moments.count, jnp.int32), *jax.tree.map(jnp.asarray, (moments.mu, moments.nu))
            )
        if isinstance(state, optax.ScaleByScheduleState):
            return optax.ScaleByScheduleState(jnp.asarray(moments.count, jnp.int32))
        return state

    return tuple(part(state) for state in fresh)


def describe(source: str, workdir: str, official: OfficialCheckpoint) -> list[str]:
    """Lines to print: what was read and written, and the command that trains on."""
    m, data = official.config.model, official.config.data
    lines = [
        f'{source}: {RELEASES[official.release]} release, {model_name(official.config)} model, ch {m.ch}, n_res {m.n_res}, '
        f'channels {data.channels_A} and {data.channels_B}, {data.image_size} pixels'
        + (' (the file does not tell; --image_size=N says otherwise)' if m.mlp_pool != 'full' else ''),
        f'wrote {workdir}/checkpoints/{official.step}: {", ".join([*official.generator, *official.discriminator])}',
    ]
    if not official.discriminator:
        return [*lines, 'it can translate; without discriminators it cannot be trained on']
    if official.moments:
        start = f"with the file's optimizers, from step {official.step}"
    else:
        start = 'with fresh optimizers, from step 0: the file has none'
    flags = ''.join(f' --config.{name}={value}' for name, value in official.settings.items())
    return [
        *lines,
        f'to train on {start}:',
        f'  python -m ugatit_jax.main --config=configs/default.py --workdir={workdir}{flags} --config.data.source=...',
    ]
