"""Values that follow from several fields of a resolved config."""

from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.reference import reference_load_size
from ugatit_jax.models.names import DIRECTIONS

MAX_DIGITS = 10  # of a step
POLICIES = ('color', 'translation', 'cutout')  # of augment.diffaugment, see data/diffaugment.py
LOSS_WEIGHTS = ('adversarial_weight', 'cycle_weight', 'identity_weight', 'cam_weight')


def uses_identity(config: ConfigDict) -> bool:
    """Whether the generators run on images of their target domain, which the identity and the CAM loss need."""
    return any(
        loss_weight(config, name, direction) for name in ('identity_weight', 'cam_weight') for direction in DIRECTIONS
    )


def uses_discriminators(config: ConfigDict) -> bool:
    """Whether a step needs the discriminators: with a teacher and adversarial weights of 0 it leaves them as they are."""
    return not config.distill.teacher or any(loss_weight(config, 'adversarial_weight', way) for way in DIRECTIONS)


def loss_weight(config: ConfigDict, name: str, direction: str) -> float:
    """Weight `name`, one of LOSS_WEIGHTS, of 'A2B' or 'B2A': that of both directions unless the direction has its own."""
    own = config.loss[f'{name}_{direction}']
    return config.loss[name] if own is None else own


def draws_per_step(config: ConfigDict) -> int:
    """Batches that a step draws: one for each discriminator update, and one more with training.separate_batches."""
    return config.training.n_critic + bool(config.training.separate_batches)


def model_name(config: ConfigDict) -> str:
    """'full', the model of the paper's numbers, 'light', or the pooling in between."""
    pool = config.model.mlp_pool
    return {'full': 'full', '1': 'light'}.get(pool, f'mlp_pool={pool}')


def load_size(config: ConfigDict) -> int:
    """Side of the training images before the random crop, as the reference unless set; image_size without crops."""
    if not config.augment.crop:
        return config.data.image_size
    return config.data.load_size or reference_load_size(config.model.reference, config.data.image_size)


def parse_profile_steps(text: str, last: int) -> tuple[int, int] | None:
    """training.profile_steps 'a:b' as (a, b), steps a to b, both included; '' as None.

    Raises UserError unless 1 <= a <= b <= last, the run's last step.
    """
    if not text:
        return None
    first, _, final = text.partition(':')
    numbers = all(part.isdecimal() and len(part) <= MAX_DIGITS for part in (first, final))
    steps = (int(first), int(final)) if numbers else (0, 0)  # (0, 0) is out of range
    if not 1 <= steps[0] <= steps[1] <= last:
        raise UserError(
            f'config: training.profile_steps={text!r} does not work; it has to be a:b with 1 <= a <= b <= {last}, the last '
            'step (training.steps)'
        )
    return steps


def parse_policy(text: str) -> tuple[str, ...]:
    """'color,translation' to ('color', 'translation'); '' to (); raises UserError for unknown names."""
    policy = tuple(part.strip() for part in text.split(',') if part.strip())
    unknown = [part for part in policy if part not in POLICIES]
    if unknown:
        raise UserError(
            f'augment.diffaugment={text!r}: {unknown[0]!r} is not one of {", ".join(POLICIES)} '
            "(several are joined by commas, '' is off)"
        )
    return policy
