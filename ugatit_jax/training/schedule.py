"""What is done after a step: log, preview, evaluate, save."""

from typing import NamedTuple

from ml_collections import FrozenConfigDict as ConfigDict


class Due(NamedTuple):
    """What is to be done after this step."""

    log: bool
    preview: bool
    evaluate: bool
    save: bool


def due_after(step: int, config: ConfigDict, leaving: bool) -> Due:
    """What is due after `step`: by the intervals of the config, and all of it after the last step.

    A run that is leaving before its end saves, and skips what takes time and can be missed.
    """
    training, last = config.training, step == config.training.steps
    away = leaving and not last

    def every(interval: int) -> bool:
        return last or step % interval == 0

    return Due(
        log=every(training.log_every),
        preview=every(training.preview_every) and not away,
        evaluate=bool(config.evaluation.every) and every(config.evaluation.every) and not away,
        save=every(training.checkpoint_every) or leaving,
    )
