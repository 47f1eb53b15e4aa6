"""The type and the range of every field: what it may be whatever the other fields are.

Upper limits are far above anything that was ever trained: they stop a slip (ch=1000000) before anything is computed, and
keep numbers within what int32, float32 and threads take. A field that is unset by default may be None.
"""

import difflib
import math
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config import default
from ugatit_jax.config.derived import LOSS_WEIGHTS
from ugatit_jax.config.reference import NAMES
from ugatit_jax.models.names import ADVERSARIAL, DECODER_NORMS, DIRECTIONS, UP_NORMS

INT32 = 2**31 - 1  # steps are int32 on devices
SIDE = 8192  # pixels: data.decode refuses larger images
DEEPEST = 13  # layers of a discriminator: the deepest that fits SIDE
SMALLEST = 1.2e-38  # float32's smallest number of full precision: smaller ones are flushed to 0
LARGEST = 1e9  # of weights and rates: sums and products of them stay finite in float32
MAX_TEXT = 4096  # bytes of a path on Linux
BREAKS = ('Cc', 'Zl', 'Zp')  # Unicode's control characters and separators of lines
NEARLY_ONE = 0.999999  # of shares below 1: float32 rounds 0.99999998 to 1


class Field(NamedTuple):
    """What a field may be."""

    wanted: str  # as a message says it
    allows: Callable[[Any], bool]


def whole(low: int, high: int) -> Field:
    """An integer from `low` to `high`."""
    return Field(f'a whole number from {low} to {high}', lambda x: type(x) is int and low <= x <= high)


def number(low: float, high: float) -> Field:
    """A number from `low` to `high`, which may be inf; never NaN."""
    wanted = f'{low:g} or above' if math.isinf(high) else f'from {low:g} to {high:g}'
    return Field(wanted, lambda x: type(x) in (int, float) and low <= x <= high)


def choice(*values: Any) -> Field:
    """One of `values`."""
    return Field(f'one of {values}', lambda x: any(type(x) is type(value) and x == value for value in values))


def flag() -> Field:
    """True or False."""
    return Field('True or False', lambda x: isinstance(x, bool))


def text() -> Field:
    """Text, a path for example, of which every message takes one line."""
    return Field(
        f'text of one line, up to {MAX_TEXT} characters',
        lambda x: isinstance(x, str) and len(x) <= MAX_TEXT and not any(unicodedata.category(c) in BREAKS for c in x),
    )


def padding() -> Field:
    """(before, after) in pixels."""
    part = whole(0, SIDE)
    return Field(
        '(before, after), 0 or above', lambda x: isinstance(x, tuple | list) and len(x) == 2 and all(map(part.allows, x))
    )


def compute_dtype() -> Field:
    """A type of activations; float64 is for comparisons with the PyTorch release, where x64 is enabled."""
    wanted, allowed = choice('float32', 'bfloat16')
    return Field(wanted, lambda x: allowed(x) or x == 'float64' and x64_enabled())


def x64_enabled() -> bool:
    """Whether JAX computes in float64 where it is asked to."""
    import jax  # here: settings are read without it

    return jax.config.jax_enable_x64


def colour() -> Field:
    """RGB."""
    part = whole(0, 255)
    return Field(
        'three integers from 0 to 255', lambda x: isinstance(x, tuple | list) and len(x) == 3 and all(map(part.allows, x))
    )


def fields() -> dict[str, Field]:
    """Every field of config/default.py."""
    share, weight, rate = number(0, 1), number(0, LARGEST), number(SMALLEST, LARGEST)
    below_one, steps, interval = number(0, NEARLY_ONE), whole(1, INT32), whole(0, INT32)
    directions = {
        f'loss.{name}{direction}': weight
        for name in LOSS_WEIGHTS
        for direction in ('', *(f'_{direction}' for direction in DIRECTIONS))
    }
    return directions | {
        'seed': whole(0, 2**63 - 1),
        'init_from': text(),
        'data.source': text(),
        'data.image_size': whole(1, SIDE),
        'data.batch_size': whole(1, 65536),
        'data.channels_A': whole(1, 1024),
        'data.channels_B': whole(1, 1024),
        'data.max_bad_fraction': share,
        'data.load_size': whole(1, 2 * SIDE),
        'data.fit': text(),
        'data.background': colour(),
        'data.paired_test': flag(),
        'data.swap': flag(),
        'data.data_dir': text(),
        'data.download': flag(),
        'data.head_margin': number(0, 10),  # sides of the head box: with more, the cut is the whole image anyway
        'data.cache_mb': number(0, math.inf),
        'data.cache_dir': text(),
        'data.workers': whole(1, 1024),
        'data.device_resident': flag(),
        'data.device_resident_mb': number(0, math.inf),
        'augment.flip': share,
        'augment.crop': flag(),
        'augment.brightness': share,  # of this and the next two: factors 1 +- amount stay positive
        'augment.contrast': share,
        'augment.saturation': share,
        'augment.translate': number(0, 0.5),  # of the side: more would show mostly mirrored border
        'augment.diffaugment': text(),
        'model.reference': choice(*NAMES),
        'model.ch': whole(1, 4096),
        'model.n_res': whole(0, 256),
        'model.mlp_pool': text(),
        'model.n_down': choice(1, 2, 3),
        'model.separable': flag(),
        'model.stem_kernel': choice(3, 5, 7),
        'model.pixel_unshuffle': choice(1, 2),
        'model.image_skip': flag(),
        'model.discriminator_ch': whole(0, 4096),
        'model.n_layers_global': whole(2, DEEPEST),  # a first and a last layer
        'model.n_layers_local': whole(2, DEEPEST),
        'model.decoder_norm': choice(*DECODER_NORMS),
        'model.up_norm': choice(*UP_NORMS),
        'model.norm_groups': whole(1, 16384),
        'model.stem_norm': flag(),
        'model.generator_cam': flag(),
        'model.discriminator_cam': flag(),
        'model.spectral_norm': flag(),
        'model.instance_norm_affine': flag(),
        'model.generator_bias': flag(),
        'model.discriminator_head_bias': flag(),
        'model.cam_shared': flag(),
        'model.cam_bias': flag(),
        'model.cam_attention_normalized': flag(),
        'model.rho_init': share,
        'model.rho_smoothing': share,
        'model.variance_ddof': choice(0, 1),
        'model.down_padding': padding(),
        'model.patch_padding': padding(),
        'model.mlp_width': whole(1, 1_048_576),  # by default ch times n_res
        'model.weight_init': choice('normal', 'torch'),
        'loss.adversarial': choice(*ADVERSARIAL),
        'loss.gradient_penalty_weight': rate,
        'distill.teacher': text(),
        'distill.teacher_checksum': text(),
        'distill.l1_weight': weight,
        'distill.feature_weight': weight,
        'optimizer.learning_rate': rate,
        'optimizer.learning_rate_D': rate,
        'optimizer.batch_scaling': choice('none', 'linear', 'sqrt'),
        'optimizer.decay': choice('linear', 'cosine', 'constant'),
        'optimizer.decay_start': below_one,
        'optimizer.clip_norm': weight,
        'optimizer.beta1': below_one,
        'optimizer.beta2': below_one,
        'optimizer.eps': rate,
        'optimizer.eps_mode': choice('before_correction', 'after_correction'),
        'optimizer.weight_decay': weight,
        'optimizer.weight_decay_mode': choice('kernel_l2', 'coupled'),
        'optimizer.decay_epochs': interval,
        'training.steps': steps,
        'training.compute_dtype': compute_dtype(),
        'training.scan_blocks': flag(),
        'training.n_critic': whole(1, 100),
        'training.separate_batches': flag(),
        'training.accumulate': whole(1, 65536),
        'training.remat': flag(),
        'training.shard_params': flag(),
        'training.on_nan': choice('stop', 'restore'),
        'training.ema_decay': below_one,
        'training.ema_warmup': flag(),
        'training.log_every': steps,
        'training.checkpoint_every': steps,
        'training.keep_checkpoints': steps,
        'training.keep_every': interval,
        'training.keep_best': text(),
        'training.preview_every': steps,
        'training.preview_images': whole(1, 1000),
        'training.profile_steps': text(),
        'evaluation.every': interval,
        'evaluation.images': whole(2, INT32),  # KID and FID need a variance
        'evaluation.batch_size': whole(1, 65536),
        'evaluation.protocol': choice('fidelity', 'ugatit', 'clean'),
        'evaluation.effnet': flag(),
        'evaluation.inception_weights': text(),
    }


def by_dotted_name(values: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """The values of nested dicts: {'data.source': ...} of {'data': {'source': ...}}."""
    found = {}
    for name, value in values.items():
        found |= by_dotted_name(value, f'{prefix}{name}.') if isinstance(value, dict) else {prefix + name: value}
    return found


def validate_fields(config: ConfigDict, *groups: str) -> None:
    """Raises UserError for a field, of all or of these groups, that cannot be what it is, that is missing or unknown."""
    known, found = fields(), by_dotted_name(config.to_dict())
    for name in sorted(found.keys() ^ known.keys()):
        if name in known:
            raise UserError(f'config: there is no {name}; a config begins as that of ugatit_jax.config.default.get_config()')
        validate_name(name)
    validate_values({name: found[name] for name in known if not groups or name.partition('.')[0] in groups})


def validate_name(name: str) -> None:
    """Raises UserError, with the field that was probably meant, where `name` is not that of a field."""
    known = fields()
    if name in known:
        return
    last = name.rpartition('.')[2]
    members = [field for field in known if field.startswith(f'{name}.')]
    meant = members or [field for field in known if last == field.rpartition('.')[2]]  # the right name in another group
    meant = meant or difflib.get_close_matches(name, known, 1, 0.7)
    raise UserError(
        f'config: {name} is no field' + (f'; hint: {meant[0]} is' if meant else '; hint: --help-config lists all')
    )


def validate_values(values: dict[str, Any]) -> None:
    """Raises UserError for a value, by its field's dotted name, that the field cannot be, whatever the others are."""
    known, unset = fields(), by_dotted_name(default.get_config().to_dict())
    for name, value in values.items():
        allowed = known[name].allows(value) or value is None and unset[name] is None
        require(allowed, f'{name}={shown(value)}', known[name].wanted)


def require(condition: bool, got: str, wanted: str) -> None:
    """Raises UserError unless `condition`: 'config: GOT does not work; it has to be WANTED'."""
    if not condition:
        raise UserError(f'config: {got} does not work; it has to be {wanted}')


def shown(value: Any) -> str:
    """The value as a message shows it: in one line, not too long."""
    if isinstance(value, int) and abs(value) > 10**30:  # Python refuses to print long ones
        return f'{"-" * (value < 0)}(a number of {value.bit_length()} bits)'
    listed = repr(value)
    return listed if len(listed) <= 100 else f'{listed[:100]}...'
