"""Values that follow from several settings of a resolved config."""

from ml_collections import ConfigDict

from ugatit_jax.errors import UserError

WEIGHTS = ('adversarial_weight', 'cycle_weight', 'identity_weight', 'cam_weight')
DIRECTIONS = ('A2B', 'B2A')


def uses_identity(config: ConfigDict) -> bool:
    """Whether the generators run on their target domain at all: for the identity or for the CAM loss."""
    return any(
        loss_weight(config, name, direction) for name in ('identity_weight', 'cam_weight') for direction in DIRECTIONS
    )


def loss_weight(config: ConfigDict, name: str, direction: str) -> float:
    """Weight `name`, one of WEIGHTS, of 'A2B' or 'B2A': that of both where the direction has none of its own."""
    own = config.loss[f'{name}_{direction}']
    return config.loss[name] if own is None else own


def draws_per_step(config: ConfigDict) -> int:
    """Batches that a step draws: one for each update of the discriminators, and whether the generators draw another."""
    return config.training.n_critic + bool(config.training.separate_batches)


def parse_steps(text: str, last: int) -> tuple[int, int] | None:
    """'a:b' -> (a, b), steps a to b, both included; '' -> None. Raises UserError where that is no part of 1 to `last`."""
    if not text:
        return None
    first, _, final = text.partition(':')
    steps = (int(first), int(final)) if first.isdecimal() and final.isdecimal() else (0, 0)
    if not 1 <= steps[0] <= steps[1] <= last:
        raise UserError(
            f'config: training.profile_steps={text!r} does not work; it has to be a:b with 1 <= a <= b <= {last}, the last '
            'step (training.steps)'
        )
    return steps
