"""Which checkpoint is best: by a metric that it was saved with, training.keep_best."""

import math


def badness(metrics: dict[str, float], best: str) -> float:
    """What is smallest for the best checkpoint: metric `best`, or minus it where its name begins with '-'."""
    sign = -1 if best.startswith('-') else 1
    return sign * metrics.get(best.removeprefix('-'), sign * math.inf)


def best_step(metrics: dict[int, dict[str, float]], best: str) -> int | None:
    """The step whose metrics are best; the earliest of equal ones, None where no step has metrics."""
    steps = [step for step in sorted(metrics) if metrics[step]]
    return min(steps, key=lambda step: badness(metrics[step], best)) if best and steps else None
