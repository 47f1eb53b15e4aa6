"""Which checkpoint is best, by the metric training.keep_best.

Not Orbax's `best_step()`: that ranks by a function which is fixed when the manager is opened, and a reader knows the metric
only from a config inside; it also ranks checkpoints that were saved without metrics.
"""

import math


def badness(metrics: dict[str, float], best: str) -> float:
    """Metric `best`, or minus it where its name begins with '-': smallest for the best checkpoint, inf where missing."""
    sign = -1 if best.startswith('-') else 1
    return sign * metrics.get(best.removeprefix('-'), sign * math.inf)


def best_step(metrics: dict[int, dict[str, float]], best: str) -> int | None:
    """The step with the best metrics, given those of every step; the first of equals, None where no step has metrics."""
    steps = [step for step in sorted(metrics) if metrics[step]]
    return min(steps, key=lambda step: badness(metrics[step], best)) if best and steps else None
