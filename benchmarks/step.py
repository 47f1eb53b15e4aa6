"""Speed, memory and compile time of the train step: a row for each model, size, batch and precision.

    python benchmarks/step.py                                                  # what this kind of device can do in minutes
    python benchmarks/step.py --models light full --sizes 128 256 --batches 1 4 8 --dtypes float32 bfloat16 --json=step.json

Each row is compiled in a process of its own with an empty compilation cache, then again in another one from that cache.
TFLOP/s are XLA's count of the step before it is optimised, with residual blocks written out, over the median time: what is
computed, on a CPU a quarter of what 3x3 convolutions are elsewhere (models/winograd.py). The peak is a large matrix product
in the same precision in the same process. On a CPU memory is that of the whole process.
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
from common import Step, cases, configure, lower, peak_memory, publish, table, timed, versions

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


def matrix_product_rate(dtype: str, rounds: int) -> float:
    """Operations a second of a square matrix product, at best."""
    n = 2048 if jax.default_backend() == 'cpu' else 8192
    x = jax.random.normal(jax.random.key(0), (n, n), dtype)
    product = jax.jit(jnp.dot).lower(x, x).compile()
    product(x, x).block_until_ready()
    return 2 * n**3 / min(timed(lambda: product(x, x).block_until_ready())[1] for _ in range(rounds))


def operations(fields: dict[str, Any]) -> float:
    """XLA's count of operations in one step; a loop's body would be counted once."""
    return lower(configure(fields | {'training.scan_blocks': False}))[2].cost_analysis()['flops']


def measure(fields: dict[str, Any], rounds: int, steps: int) -> dict[str, Any]:
    """One row, in this process; without rounds only the compile time."""
    step = Step(configure(fields))
    result = {'compile_seconds': step.compile_seconds, 'trace_seconds': step.trace_seconds}
    if not rounds:
        return result
    step.run(2)
    times = [timed(step.run, steps)[1:] for _ in range(rounds)]
    seconds, processor = (statistics.median(column) / steps for column in zip(*times))
    memory, peak = peak_memory(), matrix_product_rate(fields['training.compute_dtype'], 10)
    analysis, count = step.compiled.memory_analysis(), operations(fields)
    return (
        result
        | versions()
        | {
            'steps_per_second': 1 / seconds,
            'cpu_seconds': processor,
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


def python_value(text: str) -> Any:
    """A value as Python writes it, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def in_process(options: argparse.Namespace, fields: dict[str, Any], cache: str, rounds: int) -> dict[str, Any]:
    """`measure` in a process of its own."""
    job = json.dumps([fields, rounds, options.steps])
    environment = {**os.environ, 'JAX_COMPILATION_CACHE_DIR': cache, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0'}
    process = subprocess.run(
        [sys.executable, __file__, '--one', job], text=True, stdout=subprocess.PIPE, check=True, env=environment
    )
    return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    """The command line."""
    cpu = jax.default_backend() == 'cpu'
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--models', nargs='+', choices=('light', 'full'), default=['light'] if cpu else ['light', 'full'])
    parser.add_argument('--sizes', nargs='+', type=int, default=[128, 256])
    parser.add_argument('--ch', type=int, default=64)
    parser.add_argument('--batches', nargs='+', type=int, default=[1] if cpu else [1, 4, 8])
    parser.add_argument('--dtypes', nargs='+', default=['float32'] if cpu else ['float32', 'bfloat16'])
    parser.add_argument('--set', nargs='+', default=[], metavar='FIELD=VALUE', help='more of the config, as Python values')
    parser.add_argument('--rounds', type=int, default=5 if cpu else 20)
    parser.add_argument('--steps', type=int, default=1 if cpu else 10, help='in a round')
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*json.loads(options.one))))
        return
    if wrong := [item for item in options.set if '=' not in item]:
        parser.error(f'--set {wrong[0]}: it is FIELD=VALUE')
    more = {name: python_value(value) for name, value in (item.split('=', 1) for item in options.set)}
    rows, results = [], []
    for case, fields in cases(options):
        fields |= more
        configure(fields)  # what does not work is said here, in one line
        with tempfile.TemporaryDirectory() as cache:
            row = in_process(options, fields, cache, options.rounds)
            again = in_process(options, fields, cache, 0)
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
    publish(versions(), options, results, options.json)


if __name__ == '__main__':
    main()
