"""Memory of one train step as XLA counts it, beside our estimate: nothing is run, only compiled.

    python benchmarks/memory.py --json=memory.json        # light and full at 256 pixels; each row in a process of its own
    python benchmarks/memory.py --rows='light' 'full, 4 devices, shard_params'

"State" is what stays on a device (weights, optimiser, vectors), "step" the most that XLA adds while a step runs. On a
machine without accelerators several devices are fake ones of the CPU, whose convolutions take more memory than a GPU's.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

FULL = {'model.mlp_pool': 'full'}
ROWS = {  # name: (devices, fields)
    'light': (1, {}),
    'light, remat': (1, {'training.remat': True}),
    'light, batch 4': (1, {'data.batch_size': 4}),
    'light, batch 4, accumulate 4': (1, {'data.batch_size': 4, 'training.accumulate': 4}),
    'full': (1, FULL),
    'full, 4 devices': (4, FULL | {'data.batch_size': 4}),
    'full, 4 devices, shard_params': (4, FULL | {'data.batch_size': 4, 'training.shard_params': True}),
    'full, 4 devices, shard_params, remat': (
        4,
        FULL | {'data.batch_size': 4, 'training.shard_params': True, 'training.remat': True},
    ),
}


def measure(devices: int, fields: dict[str, object], image_size: int) -> dict[str, object]:
    """Compiles the step of a config and returns XLA's figures for one device, in bytes, and our estimate."""
    import jax
    from common import configure, lower

    from ugatit_jax.training import memory

    config = configure({'data.image_size': image_size} | fields)
    started = time.monotonic()
    analysis = lower(config)[2].compile().memory_analysis()
    return {
        'state': analysis.argument_size_in_bytes,
        'step': analysis.temp_size_in_bytes,
        'estimate': memory.estimate(config, devices).total,
        'seconds': round(time.monotonic() - started, 1),
        'device': jax.devices()[0].device_kind,
        'jax': jax.__version__,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS), metavar='ROW')
    parser.add_argument('--image_size', type=int, default=256)
    parser.add_argument('--json', metavar='FILE')
    parser.add_argument('--one', choices=list(ROWS), help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*ROWS[options.one], options.image_size)))
        return
    results = {}
    print(f'| {options.image_size} pixels, ch 64 | state | step | together | estimate |\n|---|---|---|---|---|')
    for name in options.rows:
        # little optimisation: the buffers are the same, and compiling takes the time here
        flags = f'--xla_force_host_platform_device_count={ROWS[name][0]} --xla_backend_optimization_level=1'
        process = subprocess.run(
            [sys.executable, __file__, '--one', name, '--image_size', str(options.image_size)],
            text=True,
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, 'XLA_FLAGS': flags},
        )
        row = results[name] = json.loads(process.stdout.splitlines()[-1])
        figures = (row['state'], row['step'], row['state'] + row['step'], row['estimate'])
        print(f'| {name} | {" | ".join(f"{figure / 1e9:.2f} GB" for figure in figures)} |', flush=True)
    about = next(iter(results.values()))
    print(f'\n{about["device"]}, {os.cpu_count()} cores, jax {about["jax"]}, Python {platform.python_version()}')
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    main()
