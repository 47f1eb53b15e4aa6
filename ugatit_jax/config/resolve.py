"""From the user's config to the resolved one: unset fields filled in, and everything validated."""

from operator import attrgetter

from ml_collections import ConfigDict, FrozenConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.fields import shown, validate_fields
from ugatit_jax.config.reference import reference_fields
from ugatit_jax.config.validate import validate_combinations, validate_sizes
from ugatit_jax.models.names import PENALIZED

GRADIENT_PENALTY_WEIGHT = 10.0  # the TensorFlow release's
DECAY_START = 0.5  # both releases'


def resolve(config: ConfigDict) -> FrozenConfigDict:
    """A frozen copy with every field set; raises UserError that names the field and its value and gives a hint.

    None stays where a field has no effect, such as rho_init where the decoder has no rho, or depends on another one, such
    as the loss weights of one direction (see `loss_weight`) or, for training.scan_blocks, on the device.
    """
    if isinstance(config, FrozenConfigDict):
        config = ConfigDict(config)
    config = config.copy_and_resolve_references()
    validate_fields(config)
    for field, reason in ineffective_fields(config).items():
        if (value := attrgetter(field)(config)) is not None:
            raise UserError(f'config: {field}={shown(value)} has no effect with {reason}; leave it out')
    fill_unset_fields(config)
    validate_combinations(config)
    validate_sizes(config)
    return FrozenConfigDict(config)


def fill_unset_fields(config: ConfigDict) -> None:
    """Sets, in place, the fields that are None to the values of the reference; those without effect stay None."""
    m = config.model
    reference = reference_fields(m.reference, m.ch, m.n_res, config.data.image_size)
    fields = {f'{group}.{name}': value for group, values in reference.items() for name, value in values.items()}
    fields |= {'loss.gradient_penalty_weight': GRADIENT_PENALTY_WEIGHT, 'optimizer.decay_start': DECAY_START}
    ineffective = ineffective_fields(config)
    config.update_from_flattened_dict(
        {field: value for field, value in fields.items() if attrgetter(field)(config) is None and field not in ineffective}
    )


def ineffective_fields(config: ConfigDict) -> dict[str, str]:
    """Fields that have no effect given the others, each with the reason: {'model.rho_init': 'model.decoder_norm=in'}."""
    m, adversarial, decay = config.model, config.loss.adversarial, config.optimizer.decay
    ineffective = {}
    if not config.augment.crop:
        ineffective['data.load_size'] = 'augment.crop=False: without crops images are loaded at data.image_size'
    if m.decoder_norm != 'adalin':
        ineffective |= dict.fromkeys(('model.rho_init', 'model.rho_smoothing'), f'model.decoder_norm={m.decoder_norm}')
    if m.decoder_norm == 'adain':
        ineffective['model.mlp_width'] = 'model.decoder_norm=adain, which has no MLP'
    if not (m.generator_cam or m.discriminator_cam):
        ineffective |= dict.fromkeys(('model.cam_shared', 'model.cam_bias'), 'no CAM anywhere')
    if not (m.discriminator_cam and m.spectral_norm):
        off = 'discriminator_cam' if m.spectral_norm else 'spectral_norm'
        ineffective['model.cam_attention_normalized'] = f'model.{off}=False'
    if adversarial not in PENALIZED:
        ineffective['loss.gradient_penalty_weight'] = (
            f'loss.adversarial={adversarial}, which has no gradient penalty ({", ".join(PENALIZED)} have)'
        )
    if decay != 'linear':
        ineffective |= dict.fromkeys(('optimizer.decay_epochs', 'optimizer.decay_start'), f'optimizer.decay={decay}')
    return ineffective
