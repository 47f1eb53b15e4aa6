"""Does asynchronous saving slow the steps down? Steps with and without a save beside them, and how long save() blocks.

    python -m benchmarks.checkpoint                                        # demo size, and the light model of ch 32 at 128
    python -m benchmarks.checkpoint --case=256:64:4 --rounds=5 --json=checkpoint.json     # image_size:ch:n_res

Each round runs some steps without a save, calls save(), runs steps until the checkpoint is on disk and one more, and
waits for it. Times are medians over all rounds. Programs come from the compilation cache where it has them.
"""

import argparse
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

import jax
import orbax.checkpoint as ocp
from ml_collections import FrozenConfigDict as ConfigDict

from benchmarks.common import Step, configure, make_parser, publish, timed, versions
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.models.discriminator import fits
from ugatit_jax.training.state import to_items

CASES = '64:12:2,128:32:4'
DEPTHS = (7, 6, 5, 4)  # of the global discriminators: the paper's first
PATCH_PADDING = (1, 2)  # model.patch_padding of the default reference


def config_of(case: str) -> ConfigDict:
    """The resolved config of 'image_size:ch:n_res', with averaged generators and the deepest discriminators that fit."""
    try:
        size, ch, n_res = map(int, case.split(':'))
    except ValueError:
        raise UserError(f'--case={case}: it is image_size:ch:n_res, such as {CASES}') from None
    return configure(
        {
            'data.image_size': size,
            'model.ch': ch,
            'model.n_res': n_res,
            'training.ema_decay': 0.999,
            'model.n_layers_global': next((depth for depth in DEPTHS if fits(size, depth, PATCH_PADDING)), DEPTHS[-1]),
        }
    )


def measure(config: ConfigDict, rounds: int, steps: int) -> dict[str, Any]:
    """Medians of one config; every step is waited for, so that a slow one is seen."""
    step = Step(config)

    def timed_step() -> float:
        return timed(step.run, 1)[1]

    alone, beside, blocked, writing = [], [], [], []
    with tempfile.TemporaryDirectory() as workdir:
        checkpoints = Checkpoints(workdir, keep=1)
        for i in range(rounds + 1):  # the first is to warm up
            quiet = [timed_step() for _ in range(steps)]
            start = time.perf_counter()
            checkpoints.save(int(step.state.step), to_items(step.state), config, {})
            call = time.perf_counter() - start
            busy = []
            while checkpoints.manager.is_saving_in_progress():
                busy.append(timed_step())
            on_disk = time.perf_counter() - start
            checkpoints.manager.wait_until_finished()
            if i:
                alone, beside = alone + quiet, beside + busy
                blocked.append(call)
                writing.append(on_disk)
        checkpoints.close()
        newest = max(pathlib.Path(workdir, 'checkpoints').iterdir(), key=lambda path: int(path.name))
        stored = sum(path.stat().st_size for path in newest.rglob('*') if path.is_file())
    step_alone = statistics.median(alone)
    result = {
        'checkpoint_megabytes': stored / 1e6,
        'state_megabytes': sum(leaf.nbytes for leaf in jax.tree.leaves(step.state)) / 1e6,
        'step_seconds': step_alone,
        'save_call_seconds': statistics.median(blocked),
        'until_on_disk_seconds': statistics.median(writing),
        'steps_beside_a_save': len(beside),
        'step_beside_a_save_seconds': statistics.median(beside) if beside else None,
    }
    if beside:
        extra = sum(seconds - step_alone for seconds in beside) / rounds
        result['slowdown_of_those_steps'] = result['step_beside_a_save_seconds'] / step_alone
        result['lost_seconds_per_save'] = result['save_call_seconds'] + extra
    else:
        result['lost_seconds_per_save'] = result['save_call_seconds']
    result['lost_steps_per_save'] = result['lost_seconds_per_save'] / step_alone
    return result


def measure_all(options: argparse.Namespace) -> None:
    """Measures and prints each case."""
    configure_process()
    about = versions() | {'orbax': ocp.__version__}
    results = {}
    for case in options.case.split(','):
        results[case] = measure(config_of(case), options.rounds, options.steps)
        print(f'\n{case}  (image_size:ch:n_res)')
        for name, value in results[case].items():
            print(f'  {name.replace("_", " "):28} {"-" if value is None else f"{value:12,.4g}"}')
    publish(about, options, results)


def main() -> int:
    """The command line."""
    parser = make_parser('checkpoint', __doc__)
    parser.add_argument('--case', default=CASES, help=f'image_size:ch:n_res, several with commas (default: {CASES})')
    parser.add_argument('--rounds', type=int, default=5, help='saves per case (default: 5)')
    parser.add_argument('--steps', type=int, default=5, help='steps without a save in each round (default: 5)')
    options = parser.parse_args()
    return run_command(lambda: measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
