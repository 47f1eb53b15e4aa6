"""From the user's config to the resolved one: the reference's fields filled in, contradictions refused."""
import math

import jax
from ml_collections import ConfigDict, FrozenConfigDict

from ugatit_jax.errors import UserError
from ugatit_jax.models.discriminator import fits
from ugatit_jax.profiler import parse_steps
from ugatit_jax.reference import NAMES, reference_fields


def resolve(config: ConfigDict) -> FrozenConfigDict:
    """A frozen copy with every field set; raises UserError naming the field, its value and the way out."""
    if isinstance(config, FrozenConfigDict):
        config = ConfigDict(config)
    config = config.copy_and_resolve_references()
    require(config.model.reference in NAMES, f'model.reference={config.model.reference!r}', f'one of {NAMES}')
    for group, fields in reference_fields(config.model.reference, config.model.ch, config.model.n_res).items():
        for name, value in fields.items():
            if config[group][name] is None:
                config[group][name] = value
    check_values(config)
    check_sizes(config)
    return FrozenConfigDict(config)


def require(condition: bool, got: str, wanted: str) -> None:
    """Raises UserError unless `condition`: 'config: GOT does not work; it has to be WANTED'."""
    if not condition:
        raise UserError(f'config: {got} does not work; it has to be {wanted}')


def check_values(config: ConfigDict) -> None:
    """Refuses values that no setting of the others makes right."""
    positive = {
        'data': ('image_size', 'batch_size', 'channels_A', 'channels_B'),
        'model': ('ch', 'mlp_width'),
        'training': (
            'steps', 'log_every', 'checkpoint_every', 'keep_checkpoints', 'preview_every', 'preview_images', 'accumulate'),
        'optimizer': ('learning_rate', 'eps')}
    not_negative = {
        'data': ('device_resident_mb',), 'training': ('keep_every',), 'model': ('n_res', 'rho_smoothing'),
        'optimizer': ('weight_decay', 'decay_epochs'),
        'loss': ('adversarial_weight', 'cycle_weight', 'identity_weight', 'cam_weight')}
    below_one = {'optimizer': ('beta1', 'beta2'), 'training': ('ema_decay',)}
    for fields, test, wanted in (
            (positive, lambda x: 0 < x < math.inf, 'above 0'), (not_negative, lambda x: 0 <= x < math.inf, '0 or above'),
            (below_one, lambda x: 0 <= x < 1, 'in [0, 1)')):
        for group, names in fields.items():
            for name in names:
                require(test(config[group][name]), f'{group}.{name}={config[group][name]}', wanted)
    choices = {
        'model': {'weight_init': ('normal', 'torch'), 'variance_ddof': (0, 1)},
        'optimizer': {'weight_decay_mode': ('kernel_l2', 'coupled')},
        # float64 is for comparisons with the PyTorch release, and works under JAX_ENABLE_X64 only
        'training': {
            'on_nan': ('stop', 'restore'),
            'compute_dtype': ('float32', 'bfloat16') + (('float64',) if jax.config.jax_enable_x64 else ())}}
    for group, names in choices.items():
        for name, allowed in names.items():
            require(config[group][name] in allowed, f'{group}.{name}={config[group][name]!r}', f'one of {allowed}')
    require(0 <= config.model.rho_init <= 1, f'model.rho_init={config.model.rho_init}', 'in [0, 1]')
    for name in ('down_padding', 'patch_padding'):
        value = config.model[name]
        require(len(value) == 2 and min(value) >= 0, f'model.{name}={value}', '(before, after), 0 or above')
    # the generator's skips and up-sampling need each of the two to halve an even side
    require(sum(config.model.down_padding) in (1, 2), f'model.down_padding={config.model.down_padding}', '1 or 2 in sum')
    steps, epochs = config.training.steps, config.optimizer.decay_epochs
    require(steps * epochs < 2**32, f'training.steps={steps}', f'below {2**32 // max(epochs, 1)} with {epochs} decay_epochs')
    parse_steps(config.training.profile_steps, steps)
    loss, data = config.loss, config.data
    require(
        data.batch_size % config.training.accumulate == 0,
        f'training.accumulate={config.training.accumulate} with data.batch_size={data.batch_size}',
        'a divisor of the batch: it is dealt into that many equal parts')
    require(data.workers is None or data.workers > 0, f'data.workers={data.workers}', 'above 0, or not set')
    require(
        data.channels_A == data.channels_B or not (loss.identity_weight or loss.cam_weight),
        f'data.channels_A={data.channels_A} with data.channels_B={data.channels_B}',
        'equal, or loss.identity_weight=0 and loss.cam_weight=0: both losses give pictures of B to genA2B')


def check_sizes(config: ConfigDict) -> None:
    """Refuses a picture size that a network cannot take, with the smallest size and the depth that would fit."""
    size, m = config.data.image_size, config.model
    require(
        size % 4 == 0 and size >= 16, f'data.image_size={size}', 'a multiple of 4 from 16 on: the generator halves twice')
    pool = m.mlp_pool
    require(
        pool == 'full' or (pool.isdecimal() and 1 <= int(pool) <= size // 4),
        f'model.mlp_pool={pool!r} at data.image_size={size}', f"'full', '1' (light), or a number up to {size // 4}")
    for name in ('n_layers_global', 'n_layers_local'):
        depth = m[name]
        require(depth >= 2, f'model.{name}={depth}', '2 or above')
        if fits(size, depth, m.patch_padding):
            continue
        smallest = next(s for s in range(16, 1 << (depth + 4), 4) if fits(s, depth, m.patch_padding))
        deepest = next((d for d in range(depth, 1, -1) if fits(size, d, m.patch_padding)), None)
        way_out = f'at least {smallest} for model.{name}={depth}'
        raise UserError(
            f'config: data.image_size={size} does not work; it has to be {way_out}'
            + (f', or model.{name}={deepest}, the depth that fits {size} pixels' if deepest else ''))
