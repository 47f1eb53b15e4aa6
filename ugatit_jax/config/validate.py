"""Checks of a config before anything is compiled: combinations of values, image sizes.

To add a check: type and range of a field are in `fields.py`; whatever depends on several fields is a `require` here.
"""

import itertools
import math

from ml_collections import ConfigDict

from ugatit_jax.config.derived import LOSS_WEIGHTS, draws_per_step, parse_profile_steps, uses_identity
from ugatit_jax.config.fields import require, shown
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.generator import min_side, side_multiple
from ugatit_jax.models.names import DIRECTIONS

MAX_EXAMPLES = 2**32  # of a run: which image is the i-th is defined below (data.shuffle)


def validate_combinations(config: ConfigDict) -> None:
    """Raises UserError for values that work alone but not together."""
    m, loss, data, training = config.model, config.loss, config.data, config.training

    # model
    require(sum(m.down_padding) in (1, 2), f'model.down_padding={tuple(m.down_padding)}', '1 or 2 in sum: a side is halved')
    require(
        m.n_res > 0 or m.mlp_width != 0,
        'model.n_res=0 with model.mlp_width unset',
        '1 or above, or model.mlp_width set: by the paper it is model.ch times model.n_res',
    )
    require(
        m.decoder_norm != 'adain' or m.mlp_pool == '1',
        f'model.mlp_pool={m.mlp_pool} with model.decoder_norm=adain',
        "'1': AdaIN takes gamma and beta from the features themselves, there is no MLP",
    )
    for name, channels in (('decoder_norm', m.ch * 2**m.n_down), ('up_norm', m.ch)):  # up_norm: of the narrowest stage
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

    # distillation
    for name in LOSS_WEIGHTS if config.distill.teacher else ():
        for field in (name, *(f'{name}_{direction}' for direction in DIRECTIONS)):
            require(
                name == 'adversarial_weight' or not loss[field],
                f'loss.{field}={loss[field]} with distill.teacher',
                '0: a teacher takes the place of cycle, identity and CAM losses; python -m ugatit_jax.distill sets them',
            )
    require(
        bool(config.distill.teacher) or not config.distill.teacher_checksum,
        f'distill.teacher_checksum={config.distill.teacher_checksum} without distill.teacher',
        'with distill.teacher, or unset',
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
    examples = training.steps * data.batch_size * draws_per_step(config)
    require(
        examples < MAX_EXAMPLES,
        f'training.steps={training.steps} with data.batch_size={data.batch_size}',
        f'below {MAX_EXAMPLES // (data.batch_size * draws_per_step(config))} steps: a run draws less than 2^32 images',
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
    multiple = side_multiple(m.n_down, m.pixel_unshuffle)
    smallest_side, halvings = min_side(multiple), multiple.bit_length() - 1
    changed = [name for name, usual in (('n_down', 2), ('pixel_unshuffle', 1)) if halvings != 2 and m[name] != usual]
    with_halvings = f' with {" and ".join(f"model.{name}={m[name]}" for name in changed)}' if changed else ''
    require(
        size % multiple == 0 and size >= smallest_side,
        f'data.image_size={size}' + with_halvings,
        f'a multiple of {multiple} from {smallest_side} on: the generator halves its sides {halvings} times',
    )
    pool, map_size = m.mlp_pool, size // multiple
    require(
        pool == 'full' or (pool.isdecimal() and len(pool) < 6 and 1 <= int(pool) <= map_size),
        f'model.mlp_pool={shown(pool)} at data.image_size={size}',
        f"'full', '1' (light), or a number up to {map_size}",
    )
    for name in ('n_layers_global', 'n_layers_local'):
        depth = m[name]
        if fits(size, depth, m.patch_padding):
            continue
        smallest = next(s for s in itertools.count(smallest_side, multiple) if fits(s, depth, m.patch_padding))
        deepest = next((d for d in range(depth, 1, -1) if fits(size, d, m.patch_padding)), None)
        hint = f'at least {smallest} for model.{name}={depth}'
        if deepest:
            hint += f', or model.{name}={deepest}, the depth that fits {size} pixels'
        require(False, f'data.image_size={size}', hint)
