"""Refuses settings that cannot work, before anything is compiled: single values, combinations, image sizes."""

import math

import jax
from ml_collections import ConfigDict

from ugatit_jax.config.derived import DIRECTIONS, WEIGHTS, parse_steps, uses_identity
from ugatit_jax.errors import UserError
from ugatit_jax.models.decoder_norm import DECODER_NORMS, UP_NORMS
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.losses import ADVERSARIAL


def require(condition: bool, got: str, wanted: str) -> None:
    """Raises UserError unless `condition`: 'config: GOT does not work; it has to be WANTED'."""
    if not condition:
        raise UserError(f'config: {got} does not work; it has to be {wanted}')


def validate_values(config: ConfigDict) -> None:
    """Refuses values that no setting of the others makes right."""
    positive = {
        'data': ('image_size', 'batch_size', 'channels_A', 'channels_B'),
        'model': ('ch', 'mlp_width', 'norm_groups'),
        'loss': ('gradient_penalty_weight',),
        'training': (
            'steps',
            'log_every',
            'checkpoint_every',
            'keep_checkpoints',
            'preview_every',
            'preview_images',
            'accumulate',
            'n_critic',
        ),
        'optimizer': ('learning_rate', 'learning_rate_D', 'eps'),
        'evaluation': ('batch_size',),
    }
    not_negative = {
        'data': ('device_resident_mb',),
        'training': ('keep_every',),
        'model': ('n_res', 'rho_smoothing'),
        'optimizer': ('weight_decay', 'decay_epochs', 'clip_norm'),
        'evaluation': ('every',),
        'loss': [*WEIGHTS, *(f'{name}_{direction}' for name in WEIGHTS for direction in DIRECTIONS)],
    }
    below_one = {'optimizer': ('beta1', 'beta2', 'decay_start'), 'training': ('ema_decay',)}
    for fields, test, wanted in (
        (positive, lambda x: 0 < x < math.inf, 'above 0'),
        (not_negative, lambda x: 0 <= x < math.inf, '0 or above'),
        (below_one, lambda x: 0 <= x < 1, 'in [0, 1)'),
    ):
        for group, names in fields.items():
            for name in names:
                value = config[group][name]
                require(value is None or test(value), f'{group}.{name}={value}', wanted)
    choices = {
        'model': {
            'weight_init': ('normal', 'torch'),
            'variance_ddof': (0, 1),
            'decoder_norm': DECODER_NORMS,
            'up_norm': UP_NORMS,
        },
        'loss': {'adversarial': ADVERSARIAL},
        'optimizer': {
            'weight_decay_mode': ('kernel_l2', 'coupled'),
            'batch_scaling': ('none', 'linear', 'sqrt'),
            'decay': ('linear', 'cosine', 'constant'),
        },
        'evaluation': {'protocol': ('fidelity', 'ugatit', 'clean')},
        # float64 is for comparisons with the PyTorch release, and works under JAX_ENABLE_X64 only
        'training': {
            'on_nan': ('stop', 'restore'),
            'compute_dtype': ('float32', 'bfloat16') + (('float64',) if jax.config.jax_enable_x64 else ()),
        },
    }
    for group, names in choices.items():
        for name, allowed in names.items():
            require(config[group][name] in allowed, f'{group}.{name}={config[group][name]!r}', f'one of {allowed}')
    rho_init = config.model.rho_init
    require(rho_init is None or 0 <= rho_init <= 1, f'model.rho_init={rho_init}', 'in [0, 1]')
    for name in ('down_padding', 'patch_padding'):
        value = config.model[name]
        require(len(value) == 2 and min(value) >= 0, f'model.{name}={value}', '(before, after), 0 or above')
    # the generator's skips and up-sampling need each of the two to halve an even side
    require(sum(config.model.down_padding) in (1, 2), f'model.down_padding={config.model.down_padding}', '1 or 2 in sum')
    steps, epochs = config.training.steps, config.optimizer.decay_epochs or 0
    require(steps * epochs < 2**32, f'training.steps={steps}', f'below {2**32 // max(epochs, 1)} with {epochs} decay_epochs')
    parse_steps(config.training.profile_steps, steps)
    require(config.evaluation.images >= 2, f'evaluation.images={config.evaluation.images}', '2 or above')
    workers = config.data.workers
    require(workers is None or workers > 0, f'data.workers={workers}', 'above 0, or not set')


def validate_combinations(config: ConfigDict) -> None:
    """Refuses values that work alone but not together."""
    m, loss, data, training = config.model, config.loss, config.data, config.training
    require(
        data.batch_size % training.accumulate == 0,
        f'training.accumulate={training.accumulate} with data.batch_size={data.batch_size}',
        'a divisor of the batch: it is dealt into that many equal parts',
    )
    require(
        data.channels_A == data.channels_B or not uses_identity(config),
        f'data.channels_A={data.channels_A} with data.channels_B={data.channels_B}',
        'equal, or loss.identity_weight=0 and loss.cam_weight=0: both losses give images of B to genA2B',
    )
    for name in (['cam_weight'] + [f'cam_weight_{direction}' for direction in DIRECTIONS]) * (not m.generator_cam):
        require(
            not loss[name],
            f'loss.{name}={loss[name]} with model.generator_cam=False',
            '0: without CAM in the generators there are no logits for that loss',
        )
    require(
        m.decoder_norm != 'adain' or m.mlp_pool == '1',
        f'model.mlp_pool={m.mlp_pool} with model.decoder_norm=adain',
        "'1': AdaIN takes gamma and beta from the features themselves, there is no MLP",
    )
    channels = {'decoder_norm': 4 * m.ch, 'up_norm': m.ch}  # the stage before has 2 ch
    for name, width in channels.items():
        require(
            m[name] != 'gn' or width % m.norm_groups == 0,
            f'model.norm_groups={m.norm_groups} with model.{name}=gn and model.ch={m.ch}',
            f'a divisor of its {width} channels, such as {math.gcd(width, m.norm_groups)}',
        )
    require(
        training.accumulate == 1 or loss.adversarial != 'dragan',
        f'loss.adversarial=dragan with training.accumulate={training.accumulate}',
        'training.accumulate=1: its noise is as large as the deviation of the whole batch',
    )
    require(
        not training.ema_warmup or training.ema_decay > 0,
        'training.ema_warmup=True with training.ema_decay=0',
        'with training.ema_decay above 0, such as 0.999: there is no average to warm up',
    )


def validate_sizes(config: ConfigDict) -> None:
    """Refuses an image size that a network cannot take, with the smallest size and the depth that would fit."""
    size, m = config.data.image_size, config.model
    require(
        size % 4 == 0 and size >= 16, f'data.image_size={size}', 'a multiple of 4 from 16 on: the generator halves twice'
    )
    pool = m.mlp_pool
    require(
        pool == 'full' or (pool.isdecimal() and 1 <= int(pool) <= size // 4),
        f'model.mlp_pool={pool!r} at data.image_size={size}',
        f"'full', '1' (light), or a number up to {size // 4}",
    )
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
            + (f', or model.{name}={deepest}, the depth that fits {size} pixels' if deepest else '')
        )
