"""The numbers of a run that its compiled step takes as inputs: with other ones nothing is compiled again."""

from typing import Any, NamedTuple

from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.config.derived import LOSS_WEIGHTS, loss_weight
from ugatit_jax.models.names import DIRECTIONS
from ugatit_jax.training.learning_rate import Schedule, schedule_of
from ugatit_jax.training.types import Params

KINDS = ('generator', 'discriminator')  # of networks, each with an optimizer


class Hyperparameters(NamedTuple):
    """A tree of scalars, and a teacher's weights.

    Forms, such as which loss and whether there is an identity loss, are in the program.
    """

    schedules: dict[str, Schedule]  # by KINDS
    weights: dict[str, Any]  # of losses: cycle_weight_A2B and so on, gradient_penalty_weight, weight_decay
    teacher: Params = {}  # its generators, where there is one: the step reads them and never changes them


def hyperparameters(config: ConfigDict, teacher: Params | None = None) -> Hyperparameters:
    """Those of a resolved config, as Python numbers, and the teacher's weights."""
    weights = {f'{name}_{way}': loss_weight(config, name, way) for name in LOSS_WEIGHTS for way in DIRECTIONS}
    weights['gradient_penalty_weight'] = config.loss.gradient_penalty_weight or 0.0  # unset where there is no penalty
    weights['weight_decay'] = config.optimizer.weight_decay
    if config.distill.teacher:
        weights |= {name: config.distill[name] for name in ('l1_weight', 'feature_weight')}
    return Hyperparameters({kind: schedule_of(config, kind) for kind in KINDS}, weights, teacher or {})
