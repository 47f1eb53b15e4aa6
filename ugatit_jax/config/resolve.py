"""From the user's config to the resolved one: the reference's fields filled in, contradictions refused."""

from ml_collections import ConfigDict, FrozenConfigDict

from ugatit_jax.config.reference import NAMES, reference_fields
from ugatit_jax.config.validate import require, validate_combinations, validate_sizes, validate_values
from ugatit_jax.errors import UserError
from ugatit_jax.models.losses import PENALIZED

GRADIENT_PENALTY_WEIGHT = 10.0  # the TensorFlow release's
DECAY_START = 0.5  # both releases'


def resolve(config: ConfigDict) -> FrozenConfigDict:
    """A frozen copy with every field set; raises UserError naming the field, its value and the way out.

    None stays where a field has no effect, such as rho_init where the decoder has no rho, or follows another one, such as
    the loss weights of one direction (see `loss_weight`) or, for training.scan_blocks, the device.
    """
    if isinstance(config, FrozenConfigDict):
        config = ConfigDict(config)
    config = config.copy_and_resolve_references()
    require(config.model.reference in NAMES, f'model.reference={config.model.reference!r}', f'one of {NAMES}')
    for (group, name), because in without_effect(config).items():
        if (value := config[group][name]) is not None:
            raise UserError(f'config: {group}.{name}={value!r} has no effect with {because}; leave it out')
    fill(config)
    validate_values(config)
    validate_combinations(config)
    validate_sizes(config)
    return FrozenConfigDict(config)


def fill(config: ConfigDict) -> None:
    """Sets, in place, fields that are not set, as the reference has them; None stays where a field has no effect."""
    reference = reference_fields(config.model.reference, config.model.ch, config.model.n_res)
    own = {'loss': {'gradient_penalty_weight': GRADIENT_PENALTY_WEIGHT}, 'optimizer': {'decay_start': DECAY_START}}
    idle = without_effect(config)
    for group, fields in [*reference.items(), *own.items()]:
        for name, value in fields.items():
            if config[group][name] is None and (group, name) not in idle:
                config[group][name] = value


def without_effect(config: ConfigDict) -> dict[tuple[str, str], str]:
    """Fields that have no effect as the others are, and those others."""
    m, idle = config.model, {}
    if m.decoder_norm != 'adalin':
        idle |= dict.fromkeys((('model', 'rho_init'), ('model', 'rho_smoothing')), f'model.decoder_norm={m.decoder_norm}')
    if m.decoder_norm == 'adain':
        idle['model', 'mlp_width'] = 'model.decoder_norm=adain, which has no MLP'
    if not (m.generator_cam or m.discriminator_cam):
        idle |= dict.fromkeys((('model', 'cam_shared'), ('model', 'cam_bias')), 'no CAM anywhere')
    if not m.spectral_norm:
        idle['model', 'spectral_in_eval'] = 'model.spectral_norm=False'
    if not (m.discriminator_cam and m.spectral_norm):
        off = 'discriminator_cam' if m.spectral_norm else 'spectral_norm'
        idle['model', 'cam_attention_normalized'] = f'model.{off}=False'
    if config.loss.adversarial not in PENALIZED:
        idle['loss', 'gradient_penalty_weight'] = (
            f'loss.adversarial={config.loss.adversarial}, which has no gradient penalty ({", ".join(PENALIZED)} have)'
        )
    if config.optimizer.decay != 'linear':
        idle |= dict.fromkeys(
            (('optimizer', 'decay_epochs'), ('optimizer', 'decay_start')), f'optimizer.decay={config.optimizer.decay}'
        )
    return idle
