"""Checks of a config before anything is compiled: single values, combinations of values, image sizes.

To add a check: the range of a number is an entry of RANGES, a choice between names one of CHOICES; whatever depends on
several fields is a `require` in `validate_combinations`.
"""

import itertools
import math
from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from ugatit_jax.config.derived import LOSS_WEIGHTS, parse_profile_steps, uses_identity
from ugatit_jax.errors import UserError
from ugatit_jax.models.decoder_norm import DECODER_NORMS, UP_NORMS
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.generator import MIN_SIDE, SIDE_MULTIPLE
from ugatit_jax.models.losses import ADVERSARIAL
from ugatit_jax.models.networks import DIRECTIONS


class Range(NamedTuple):
    """The allowed values of some fields; a field that is not set (None) is not checked."""

    wanted: str  # as the message says it
    allows: Callable[[float], bool]
    fields: tuple[str, ...]


RANGES = (
    Range(
        'above 0',
        lambda x: 0 < x < math.inf,
        (
            'data.image_size',
            'data.batch_size',
            'data.channels_A',
            'data.channels_B',
            'model.ch',
            'model.mlp_width',
            'model.norm_groups',
            'loss.gradient_penalty_weight',
            'optimizer.learning_rate',
            'optimizer.learning_rate_D',
            'optimizer.eps',
            'training.steps',
            'training.log_every',
            'training.checkpoint_every',
            'training.keep_checkpoints',
            'training.preview_every',
            'training.preview_images',
            'training.accumulate',
            'training.n_critic',
            'evaluation.batch_size',
        ),
    ),
    Range('above 0, or not set', lambda x: x > 0, ('data.workers',)),
    Range(
        '0 or above',
        lambda x: 0 <= x < math.inf,
        (
            'data.device_resident_mb',
            'model.n_res',
            'model.rho_smoothing',
            *(f'loss.{name}' for name in LOSS_WEIGHTS),
            *(f'loss.{name}_{direction}' for name in LOSS_WEIGHTS for direction in DIRECTIONS),
            'optimizer.weight_decay',
            'optimizer.decay_epochs',
            'optimizer.clip_norm',
            'training.keep_every',
            'evaluation.every',
        ),
    ),
    # a discriminator's first and last layer; KID and FID need a variance
    Range('2 or above', lambda x: x >= 2, ('model.n_layers_global', 'model.n_layers_local', 'evaluation.images')),
    Range(
        'in [0, 1)',
        lambda x: 0 <= x < 1,
        ('optimizer.beta1', 'optimizer.beta2', 'optimizer.decay_start', 'training.ema_decay'),
    ),
    Range('in [0, 1]', lambda x: 0 <= x <= 1, ('model.rho_init',)),
)

CHOICES: dict[str, tuple[Any, ...]] = {
    'model.decoder_norm': DECODER_NORMS,
    'model.up_norm': UP_NORMS,
    'model.variance_ddof': (0, 1),
    'model.weight_init': ('normal', 'torch'),
    'loss.adversarial': ADVERSARIAL,
    'optimizer.batch_scaling': ('none', 'linear', 'sqrt'),
    'optimizer.eps_mode': ('before_correction', 'after_correction'),
    'optimizer.decay': ('linear', 'cosine', 'constant'),
    'optimizer.weight_decay_mode': ('kernel_l2', 'coupled'),
    'training.compute_dtype': ('float32', 'bfloat16'),
    'training.on_nan': ('stop', 'restore'),
    'evaluation.protocol': ('fidelity', 'ugatit', 'clean'),
}


def require(condition: bool, got: str, wanted: str) -> None:
    """Raises UserError unless `condition`: 'config: GOT does not work; it has to be WANTED'."""
    if not condition:
        raise UserError(f'config: {got} does not work; it has to be {wanted}')


def validate_values(config: ConfigDict) -> None:
    """Raises UserError for a value that does not work, whatever the other fields are."""
    for wanted, allows, fields in RANGES:
        for field in fields:
            value = attrgetter(field)(config)
            require(value is None or allows(value), f'{field}={value}', wanted)
    for field, choices in CHOICES.items():
        if field == 'training.compute_dtype' and jax.config.jax_enable_x64:
            choices += ('float64',)  # for comparisons with the PyTorch release
        value = attrgetter(field)(config)
        require(value in choices, f'{field}={value!r}', f'one of {choices}')
    for name in ('down_padding', 'patch_padding'):
        value = config.model[name]
        require(len(value) == 2 and min(value) >= 0, f'model.{name}={value}', '(before, after), 0 or above')
    # the generator's down-sampling convolutions have to halve an even side exactly
    require(sum(config.model.down_padding) in (1, 2), f'model.down_padding={config.model.down_padding}', '1 or 2 in sum')


def validate_combinations(config: ConfigDict) -> None:
    """Raises UserError for values that work alone but not together."""
    m, loss, data, training = config.model, config.loss, config.data, config.training

    # model
    require(
        m.decoder_norm != 'adain' or m.mlp_pool == '1',
        f'model.mlp_pool={m.mlp_pool} with model.decoder_norm=adain',
        "'1': AdaIN takes gamma and beta from the features themselves, there is no MLP",
    )
    for name, channels in (('decoder_norm', 4 * m.ch), ('up_norm', m.ch)):  # up_norm: of the two stages the narrower one
        require(
            m[name] != 'gn' or channels % m.norm_groups == 0,
            f'model.norm_groups={m.norm_groups} with model.{name}=gn and model.ch={m.ch}',
            f'a divisor of its {channels} channels, such as {math.gcd(channels, m.norm_groups)}',
        )

    # loss
    require(
        data.channels_A == data.channels_B or not uses_identity(config),
        f'data.channels_A={data.channels_A} with data.channels_B={data.channels_B}',
        'equal, or loss.identity_weight=0 and loss.cam_weight=0: both losses give images of B to genA2B',
    )
    if not m.generator_cam:
        for name in ('cam_weight', *(f'cam_weight_{direction}' for direction in DIRECTIONS)):
            require(
                not loss[name],
                f'loss.{name}={loss[name]} with model.generator_cam=False',
                '0: without CAM in the generators there are no logits for that loss',
            )
    require(
        training.accumulate == 1 or loss.adversarial != 'dragan',
        f'loss.adversarial=dragan with training.accumulate={training.accumulate}',
        'training.accumulate=1: its noise has the standard deviation of the whole batch',
    )

    # data
    require(
        data.load_size is None or data.load_size >= data.image_size,
        f'data.load_size={data.load_size} with data.image_size={data.image_size}',
        f'{data.image_size} or above: crops are taken from it',
    )

    # training
    require(
        data.batch_size % training.accumulate == 0,
        f'training.accumulate={training.accumulate} with data.batch_size={data.batch_size}',
        'a divisor of the batch size: the batch is split into that many equal microbatches',
    )
    require(
        not training.ema_warmup or training.ema_decay > 0,
        'training.ema_warmup=True with training.ema_decay=0',
        'with training.ema_decay above 0, such as 0.999: there is no average to warm up',
    )
    epochs = config.optimizer.decay_epochs or 0
    require(
        training.steps * epochs < 2**32,  # the schedule multiplies them as uint32
        f'training.steps={training.steps}',
        f'below {2**32 // max(epochs, 1)} with {epochs} decay_epochs',
    )
    parse_profile_steps(training.profile_steps, training.steps)


def validate_sizes(config: ConfigDict) -> None:
    """Raises UserError for an image size that a network cannot take, with the smallest size and the depth that would fit."""
    size, m = config.data.image_size, config.model
    require(
        size % SIDE_MULTIPLE == 0 and size >= MIN_SIDE,
        f'data.image_size={size}',
        f'a multiple of {SIDE_MULTIPLE} from {MIN_SIDE} on: the generator halves twice',
    )
    pool, map_size = m.mlp_pool, size // SIDE_MULTIPLE
    require(
        pool == 'full' or (pool.isdecimal() and 1 <= int(pool) <= map_size),
        f'model.mlp_pool={pool!r} at data.image_size={size}',
        f"'full', '1' (light), or a number up to {map_size}",
    )
    for name in ('n_layers_global', 'n_layers_local'):
        depth = m[name]
        if fits(size, depth, m.patch_padding):
            continue
        smallest = next(s for s in itertools.count(MIN_SIDE, SIDE_MULTIPLE) if fits(s, depth, m.patch_padding))
        deepest = next((d for d in range(depth, 1, -1) if fits(size, d, m.patch_padding)), None)
        hint = f'at least {smallest} for model.{name}={depth}'
        if deepest:
            hint += f', or model.{name}={deepest}, the depth that fits {size} pixels'
        require(False, f'data.image_size={size}', hint)
