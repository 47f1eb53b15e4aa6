"""docs/results.md on photographs: metrics of runs on sets that may not be passed on."""

import pathlib

from benchmarks.common import require_evaluations, table
from ugatit_jax.models.names import DIRECTIONS

SETS = {'cat2dog64': 'cats, dogs', 'horse2zebra64': 'horses, zebras', 'selfie2anime64': 'selfies, anime'}  # by run
METRICS = {
    'kid_effnet': 'KID, EfficientNet-Lite0',
    'kid_effnet_source': 'the same to the source',
    'domain_accuracy': 'domain accuracy',
    'cycle_l1': 'cycle L1',
    'identity_l1': 'identity L1',
}
DIGITS = {'domain_accuracy': 2}  # else 3: it is of 100 images


def photographs(runs: pathlib.Path) -> dict[str, str]:
    """A row for each direction at the first evaluation, the one in the middle and the last; raises UserError without any."""
    rows = []
    for run, name in SETS.items():
        evaluations = require_evaluations(runs / run)
        last = len(evaluations) - 1
        for row in [evaluations[i] for i in sorted({0, last // 2, last})]:
            for way in DIRECTIONS:
                cells = [f'{row[f"{metric}_{way}"]:.{DIGITS.get(metric, 3)}f}' for metric in METRICS]
                rows.append((name, f'{row["step"]:,}', way, *cells))
    return {'photographs': table(('set', 'step', 'direction', *METRICS.values()), rows)}
