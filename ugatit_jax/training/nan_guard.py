"""Finds the step at which a loss or gradient first was not finite, and says whether the run may go back."""

import collections
from typing import Any

import jax
import numpy as np

from ugatit_jax.training.types import Metrics

HISTORY = 1000  # steps whose metrics stay on the device: more than lie between two logged steps in most runs


class NanGuard:
    """Watches the metrics of every step without waiting for them; training.on_nan='restore' allows one rollback."""

    def __init__(self, on_nan: str):
        self.rollbacks = 1 if on_nan == 'restore' else 0
        first = '' if self.rollbacks else 'add --config.training.on_nan=restore (other crops and flips), or '
        self.hint = f'hint: {first}start a new run with a smaller optimizer.learning_rate'
        self.recent: collections.deque[tuple[int, Metrics]] = collections.deque(maxlen=HISTORY)

    def record(self, step: int, metrics: Metrics) -> None:
        """Keeps the metrics of a step, on the device."""
        self.recent.append((step, metrics))

    def check(self, metrics: dict[str, Any]) -> str:
        """'' where these metrics, on the host, are finite; else the first recent step and term that are not.

        To be called with the metrics recorded last; what was recorded is forgotten.
        """
        recent, found = list(self.recent), ''
        self.recent.clear()
        if all(np.isfinite(value) for value in metrics.values()):
            return found
        for step, values in recent:
            for name, value in jax.device_get(values).items():
                if not np.isfinite(value):
                    return f'step {step}: {name} is {value}'
        raise AssertionError('the metrics recorded last are the ones that are not finite')

    def may_roll_back(self) -> bool:
        """Whether a rollback is left; takes it."""
        self.rollbacks -= 1
        return self.rollbacks >= 0
