"""How long commands take to start: --help, the translation of one image, and training up to the end of its first step.

    python -m benchmarks.starts                                      # this checkout
    python -m benchmarks.starts --checkouts . ../before --rounds 5   # beside another one, in turn
    python -m benchmarks.starts --cases train continue               # minutes: the default config

Medians of processes of their own; a round before, which fills the compilation cache, does not count. CPU seconds are of all
threads, and vary less than seconds where other programs run. `train` is a new run, with its first preview; `continue` goes
on from the checkpoint of the third step.
"""

import argparse
import collections
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from PIL import Image

from benchmarks.common import make_parser, publish, table, versions
from ugatit_jax.__main__ import COMMANDS
from ugatit_jax.common.command import run_command
from ugatit_jax.common.errors import CommandExit

HELPS = {f'{name} --help': [module.removesuffix('.__main__'), '--help'] for name, (module, _) in COMMANDS.items()}
TRAIN = ['ugatit_jax.main', '--config=default', '--config.evaluation.every=0', '--config.training.checkpoint_every=3']
FIRST_STEP = r' step \d+/\d+  '  # the line of a run's first step


def cases(folder: pathlib.Path) -> dict[str, list[str]]:
    """The arguments of python -m by the names of --cases."""
    image, made = folder / 'in.png', folder / 'out.png'
    Image.linear_gradient('L').convert('RGB').save(image)
    translate = ['ugatit_jax.translate', '--checkpoint=emoji', f'--input={image}', f'--output={made}', '--overwrite']
    return HELPS | {
        'translate': [*translate, '--direction=a2b'],
        'train': [*TRAIN, f'--workdir={folder}/new'],
        'continue': [*TRAIN, f'--workdir={folder}/old', '--config.training.steps=1000'],
    }


def start(arguments: list[str], checkout: str, environment: dict[str, str], until: str = '') -> tuple[float, float]:
    """Seconds and CPU seconds of a command, killed at a line of stderr that matches `until` where one is given."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, '-m', *arguments],
        cwd=checkout,
        env=environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if until and re.search(until, line):
            process.kill()
            break
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, -9 if until else 0):
        raise CommandExit(f'{" ".join(arguments)} in {checkout} failed:\n{"".join(lines[-5:])}')
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def measure(name: str, arguments: list[str], checkout: str, environment: dict[str, str]) -> tuple[float, float]:
    """One start of a case; a new run begins in an empty workdir."""
    if name not in ('train', 'continue'):
        return start(arguments, checkout, environment)
    workdir = arguments[len(TRAIN)].removeprefix('--workdir=')
    if name == 'train':
        shutil.rmtree(workdir, ignore_errors=True)
    elif not os.path.isdir(workdir):
        start([*arguments[:-1], '--config.training.steps=3'], checkout, environment)
    return start(arguments, checkout, environment, FIRST_STEP)


def measure_all(options: argparse.Namespace) -> None:
    """Measures in turn and prints a row for each case and checkout."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as place:
        chosen = {name: arguments for name, arguments in cases(pathlib.Path(place)).items() if name in options.cases}
        environment = {**os.environ, 'XDG_CACHE_HOME': place}
        for round_ in range(options.rounds + 1):
            for name, arguments in chosen.items():
                for checkout in options.checkouts:
                    seconds = measure(name, arguments, checkout, environment)
                    if round_:
                        found[name, checkout].append(seconds)
    rows = [(*key, *(statistics.median(column) for column in zip(*values))) for key, values in found.items()]
    print(table(('start', 'checkout', 'seconds', 'CPU seconds'), rows))
    publish(versions(), options, rows)


def main() -> int:
    """The command line."""
    parser = make_parser('starts', __doc__)
    names = [*HELPS, 'translate', 'train', 'continue']
    parser.add_argument('--cases', nargs='+', choices=names, default=[*HELPS, 'translate'], metavar='CASE')
    parser.add_argument('--checkouts', nargs='+', default=['.'], metavar='DIR')
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    return run_command(lambda: measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
