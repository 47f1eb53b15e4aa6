"""Train step and translation beside the official PyTorch code, in one run: a process for each side, taking turns.

    python -m benchmarks.vs_pytorch --reference=PATH                     # PATH: a checkout of the official PyTorch code
    python -m benchmarks.vs_pytorch --reference=PATH --image_size=256 --ch=64 --sides ours official   # memory for two

Sides: `ours`; `official`, whose own train loop runs unchanged on a batch in memory; `lean`, the official networks in a
step without the official one's waste (fakes detached, the generators' forward done once, discriminators frozen in the
generators' update); `lean compiled`, the same with torch.compile. Then translation of an image, float32: `ours
translating`, `official translating`, `compiled translating`. All begin with the same weights and see the same batch, and
the losses of the first step are compared. The first step of a turn does not count. --autocast and --channels_last are for
the lean sides.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import jax
import numpy as np

from benchmarks.common import Step, configure, make_parser, official_weights, publish, table, timed, versions
from benchmarks.common import peak_memory as peak_of_jax
from benchmarks.pytorch_sides import (
    Run,
    lean_train,
    official_on_one_batch,
    official_train,
    official_translate,
    random_pixels,
)
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import CommandExit, UserError
from ugatit_jax.common.images import normalize

TRAINING = ('ours', 'official', 'lean', 'lean compiled')
TRANSLATING = ('ours translating', 'official translating', 'compiled translating')
HEAD = (
    '',
    'seconds',
    'CPU seconds',
    'of the official',
    'CPU of the official',
    'peak GB',
    'first D loss',
    'first G loss',
)


def ours(options: argparse.Namespace, folder: pathlib.Path, translating: bool) -> Run:
    """Our side, which writes the weights that the others begin with to `folder` unless it translates."""
    # here: the memory of the PyTorch sides' processes is measured, too
    from ugatit_jax.checkpoint.generators import LoadedGenerators
    from ugatit_jax.translate.translator import Translator

    config = configure(
        {
            'model.reference': 'pytorch',
            'model.mlp_pool': '1',
            'model.ch': options.ch,
            'model.n_res': options.n_res,
            'model.n_layers_global': options.n_layers_global,
            'data.image_size': options.image_size,
            'data.batch_size': options.batch_size,
            'augment.crop': False,  # this and the next: all sides see the same images
            'augment.flip': 0.0,
            'training.compute_dtype': options.compute_dtype,
            'training.scan_blocks': options.scan_blocks,
        }
    )
    step = Step(config)
    state = jax.device_get(step.state)
    if translating:
        loaded = LoadedGenerators('none/checkpoints/0', 0, config, 'raw', {'genA2B': state.generator['genA2B']})
        translator = Translator(loaded, 'a2b', batch_size=options.batch_size)
        images = normalize(random_pixels(options)[0])

        def translate(times: int) -> dict[str, float]:
            for _ in range(times):
                translator.run(images)
            return {}

        return translate
    np.savez(folder / 'weights.npz', **official_weights(state, config))
    pixels = dict(zip('AB', random_pixels(options)))
    step.input = jax.tree.map(lambda x, old: jax.device_put(x, old.sharding), pixels, step.input)

    def train(steps: int) -> dict[str, float]:
        step.run(steps)
        return {'d_loss': float(step.metrics['D']), 'g_loss': float(step.metrics['G'])}

    return train


def serve(options: argparse.Namespace) -> None:
    """One side: for each line of stdin, a number of steps, runs them and prints their seconds and losses as JSON."""
    side, folder = options.serve, pathlib.Path(options.folder)
    if side.startswith('ours'):
        run, peak_memory = ours(options, folder, 'translating' in side), peak_of_jax
    else:
        import torch

        model = official_on_one_batch(options, folder)
        run = {
            'official': lambda: official_train(model),
            'lean': lambda: lean_train(model, options, False),
            'lean compiled': lambda: lean_train(model, options, True),
            'official translating': lambda: official_translate(model, False),
            'compiled translating': lambda: official_translate(model, True),
        }[side]()

        def peak_memory() -> float:
            return torch.cuda.max_memory_allocated() if model.device == 'cuda' else peak_of_jax()

    print(json.dumps({'ready': True}), flush=True)
    for line in sys.stdin:
        losses, wall, cpu = timed(run, int(line))
        print(json.dumps({'seconds': wall, 'cpu_seconds': cpu, 'memory': peak_memory(), **losses}), flush=True)


class Side:
    """A process that runs steps when asked."""

    def __init__(self, name: str, folder: str):
        self.name = name
        environment = {
            **os.environ,
            'XLA_PYTHON_CLIENT_PREALLOCATE': 'false',
            'JAX_PLATFORMS': os.environ.get('JAX_PLATFORMS', '') if name.startswith('ours') else 'cpu',
        }  # the others must not take our memory on a GPU
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'benchmarks.vs_pytorch', *sys.argv[1:], '--serve', name, '--folder', folder],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.answer()
        self.first = self.run(1)
        self.turns: list[dict[str, float]] = []

    def answer(self) -> dict[str, float]:
        """The next line of its output that is JSON."""
        for line in self.process.stdout:
            if line.startswith('{'):
                return json.loads(line)
        raise CommandExit(f'{self.name} ended with exit code {self.process.wait()}; what it said is above')

    def run(self, steps: int) -> dict[str, float]:
        """Runs so many steps: their seconds, divided by their number, and the last one's losses."""
        self.process.stdin.write(f'{steps}\n')
        self.process.stdin.flush()
        answer = self.answer()
        return answer | {key: answer[key] / steps for key in ('seconds', 'cpu_seconds')}


def measure_all(options: argparse.Namespace) -> None:
    """Runs the sides in turns, and prints a row for each."""
    if not all(pathlib.Path(options.reference, name).is_file() for name in ('networks.py', 'UGATIT.py')):
        raise UserError(
            f'--reference={options.reference} has no networks.py and UGATIT.py: name a checkout of the official PyTorch code'
        )
    names = ['ours', *(name for name in options.sides if name != 'ours')]  # it writes the weights
    with tempfile.TemporaryDirectory() as folder:
        sides = [Side(name, folder) for name in names]
        measured = [side for side in sides if side.name in options.sides]
        for _ in range(options.rounds):
            for side in measured:
                side.run(1)  # other sides had the caches, and the system has taken free pages back
                side.turns.append(side.run(options.steps))
        for side in sides:
            side.process.stdin.close()
            side.process.wait()
    results, rows = {}, []
    for side in measured:
        results[side.name] = {
            key: statistics.median(turn[key] for turn in side.turns) for key in ('seconds', 'cpu_seconds')
        } | {
            'memory': side.turns[-1]['memory'],
            'turns': side.turns,
            'first_losses': {key: side.first[key] for key in ('d_loss', 'g_loss') if key in side.first},
        }
    for name, result in results.items():
        base = results.get('official translating' if 'translating' in name else 'official', result)
        rows.append(
            (
                name,
                result['seconds'],
                result['cpu_seconds'],
                result['seconds'] / base['seconds'],
                result['cpu_seconds'] / base['cpu_seconds'],
                result['memory'] / 1e9,
                result['first_losses'].get('d_loss'),
                result['first_losses'].get('g_loss'),
            )
        )
    print(table(HEAD, rows))
    about = versions()
    with contextlib.suppress(ImportError):
        import torch

        about |= {'torch': torch.__version__}
    publish(about, options, results)


def main() -> int:
    """The command line."""
    parser = make_parser('vs_pytorch', __doc__)
    parser.add_argument('--reference', required=True, help='checkout of the official PyTorch code')
    parser.add_argument('--sides', nargs='+', choices=TRAINING + TRANSLATING, default=TRAINING + TRANSLATING)
    parser.add_argument('--image_size', type=int, default=128)
    parser.add_argument('--ch', type=int, default=32)
    parser.add_argument('--n_res', type=int, default=4)
    parser.add_argument('--n_layers_global', type=int, default=7, help="the release's; 64 pixels need 6")
    parser.add_argument('--batch_size', type=int, default=1)
    parser.add_argument('--compute_dtype', default='float32', help='of ours')
    parser.add_argument('--scan_blocks', action=argparse.BooleanOptionalAction, help='of ours')
    parser.add_argument('--autocast', action='store_true', help='bfloat16, of the lean sides')
    parser.add_argument('--channels_last', action='store_true', help='of the lean sides')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=1, help='in a turn')
    parser.add_argument('--serve', help=argparse.SUPPRESS)
    parser.add_argument('--folder', help=argparse.SUPPRESS)
    options = parser.parse_args()
    configure_process('off')
    return run_command(lambda: serve(options) if options.serve else measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
