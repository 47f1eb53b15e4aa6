"""Speed, memory and compile time of the train step: a row for each model, size, batch and precision.

    python -m benchmarks.step                                                  # what this kind of device can do in minutes
    python -m benchmarks.step --models light full --sizes 128 256 --batches 1 4 8 --dtypes float32 bfloat16 --json=step.json

Each row is measured in a process of its own, compiled with an empty compilation cache; a second process compiles it from
that cache. TFLOP/s are XLA's count for the step before optimisation, without a loop over residual blocks, over the median
time: the operations that are computed, so on a CPU a quarter of the usual number in 3x3 convolutions
(ugatit_jax/models/ops/winograd.py). The peak is that of a large matrix product in the same precision and process. On a CPU
memory is that of the whole process.
"""

import argparse
import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.common import Step, cases, configure, lower, make_parser, peak_memory, publish, table, timed, versions
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import CommandExit

HEAD = (
    'model',
    'size, ch',
    'batch',
    'dtype',
    'steps/s',
    'images/s',
    'TFLOP/s',
    'of peak',
    'CPU s/step',
    'peak GB',
    'XLA: state + work GB',
    'compile s',
    'from cache s',
)
PRODUCTS = 10  # of which the fastest is the peak


def matrix_product_rate(dtype: str) -> float:
    """Operations per second of the fastest of several products of two square matrices."""
    n = 2048 if jax.default_backend() == 'cpu' else 8192  # large enough to be compute-bound
    x = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(jnp.dot).lower(x, x).compile()
    product(x, x).block_until_ready()
    return 2 * n**3 / min(timed(lambda: product(x, x).block_until_ready())[1] for _ in range(PRODUCTS))


def operations(fields: dict[str, Any]) -> float:
    """XLA's count of the operations in one step, without a loop over blocks: its body would be counted once."""
    return lower(configure(fields | {'training.scan_blocks': False}))[0].cost_analysis()['flops']


def measure(fields: dict[str, Any], rounds: int, steps: int) -> dict[str, Any]:
    """One row, in this process; without rounds only the compile time."""
    step = Step(configure(fields))
    result = {'compile_seconds': step.compile_seconds, 'trace_seconds': step.trace_seconds}
    if not rounds:
        return result
    step.run(2)  # to warm up
    times = [timed(step.run, steps)[1:] for _ in range(rounds)]
    seconds, cpu_seconds = (statistics.median(column) / steps for column in zip(*times))
    memory, peak = peak_memory(), matrix_product_rate(fields['training.compute_dtype'])
    analysis, count = step.compiled.memory_analysis(), operations(fields)
    return (
        result
        | versions()
        | {
            'steps_per_second': 1 / seconds,
            'cpu_seconds': cpu_seconds,
            'lowest': steps / max(times)[0],
            'highest': steps / min(times)[0],
            'operations': count,
            'tflops': count / seconds / 1e12,
            'of_peak': count / seconds / peak,
            'peak_tflops': peak / 1e12,
            'memory': memory,
            'state_bytes': analysis.argument_size_in_bytes,
            'step_bytes': analysis.temp_size_in_bytes,
        }
    )


def measure_in_process(options: argparse.Namespace, fields: dict[str, Any], cache: str, rounds: int) -> dict[str, Any]:
    """`measure` in a process of its own, with a folder for compiled programs."""
    job = json.dumps([fields, rounds, options.steps])
    environment = {**os.environ, 'JAX_COMPILATION_CACHE_DIR': cache, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
    process = subprocess.run(
        [sys.executable, '-m', 'benchmarks.step', '--one', job], text=True, stdout=subprocess.PIPE, env=environment
    )
    if process.returncode:
        raise CommandExit(f'the process for {fields} ended with exit code {process.returncode}; what it said is above')
    return json.loads(process.stdout.splitlines()[-1])


def python_value(text: str) -> Any:
    """A value as Python writes it, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def measure_all(options: argparse.Namespace) -> None:
    """Measures and prints a row for each case."""
    more = {name: python_value(value) for name, value in (item.split('=', 1) for item in options.set)}
    rows, results = [], []
    for case, fields in cases(options):
        fields |= more
        configure(fields)  # raises UserError here, before a process is started
        with tempfile.TemporaryDirectory() as cache:
            row = measure_in_process(options, fields, cache, options.rounds)
            again = measure_in_process(options, fields, cache, 0)
        rows.append(
            (
                *case,
                row['steps_per_second'],
                fields['data.batch_size'] * row['steps_per_second'],
                row['tflops'],
                f'{row["of_peak"]:.0%} of {row["peak_tflops"]:.3g}',
                row['cpu_seconds'],
                row['memory'] / 1e9,
                f'{row["state_bytes"] / 1e9:.2f} + {row["step_bytes"] / 1e9:.2f}',
                row['compile_seconds'],
                again['compile_seconds'],
            )
        )
        results.append({'fields': fields, **row, 'compile_seconds_from_cache': again['compile_seconds']})
        print(table(HEAD, rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(HEAD, rows))
    publish(versions(), options, results)


def main() -> int:
    """The command line."""
    # this process computes nothing, and must not take the GPU memory of those that do
    os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
    cpu = jax.default_backend() == 'cpu'
    parser = make_parser('step', __doc__)
    parser.add_argument('--models', nargs='+', choices=('light', 'full'), default=['light'] if cpu else ['light', 'full'])
    parser.add_argument('--sizes', nargs='+', type=int, default=[128, 256])
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--batches', nargs='+', type=int, default=[1] if cpu else [1, 4, 8])
    parser.add_argument('--dtypes', nargs='+', default=['float32'] if cpu else ['float32', 'bfloat16'])
    parser.add_argument('--set', nargs='+', default=[], metavar='FIELD=VALUE', help='more of the config, as Python values')
    parser.add_argument('--rounds', type=int, default=5 if cpu else 20)
    parser.add_argument('--steps', type=int, default=1 if cpu else 10, help='in a round')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if wrong := [item for item in options.set if '=' not in item]:
        parser.error(f'--set {wrong[0]}: it is FIELD=VALUE')
    if options.one:
        configure_process()
        return run_command(lambda: print(json.dumps(measure(*json.loads(options.one)))))
    return run_command(lambda: measure_all(options))


if __name__ == '__main__':
    sys.exit(main())
