"""What the benchmarks share: the machine in words, a step of a config, tables and JSON."""

import argparse
import gc
import itertools
import json
import os
import pathlib
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from ml_collections import FrozenConfigDict as ConfigDict

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from ugatit_jax import sharding  # noqa: E402 (the checkout comes first)
from ugatit_jax.command import GC_THRESHOLD  # noqa: E402
from ugatit_jax.config import default  # noqa: E402 (the checkout comes first)
from ugatit_jax.config.resolve import resolve  # noqa: E402
from ugatit_jax.errors import UserError, first_line  # noqa: E402
from ugatit_jax.models.networks import Networks, make_networks  # noqa: E402
from ugatit_jax.training.memory import trim_memory  # noqa: E402
from ugatit_jax.training.state import TrainState, init_state  # noqa: E402
from ugatit_jax.training.step import make_train_step  # noqa: E402

gc.set_threshold(GC_THRESHOLD, 10, 10)  # as training does


def versions() -> dict[str, Any]:
    """What the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'device': jax.devices()[0].device_kind,
        'devices': jax.device_count(),
        'cores': cores,
        'machine': platform.machine(),
        'python': platform.python_version(),
        'jax': jax.__version__,
        'jaxlib': jaxlib.__version__,
        'load': round(os.getloadavg()[0], 1),
    }


def configure(fields: Mapping[str, Any]) -> ConfigDict:
    """The resolved default config with `fields`, by dotted names; ends the process in one line where that does not work."""
    config = default.get_config().lock()  # no new fields
    try:
        for name, value in fields.items():
            section, _, field = name.rpartition('.')
            (config[section] if section else config)[field] = value
        return resolve(config)
    except (UserError, KeyError, TypeError, ValueError) as error:
        print(f'{sys.argv[0]}: {first_line(error)}', file=sys.stderr)
        raise SystemExit(2) from None


def cases(options: argparse.Namespace) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """For all of options.models, .sizes, .batches and .dtypes the first columns of a row and the fields of a config."""
    for model, size, batch, dtype in itertools.product(options.models, options.sizes, options.batches, options.dtypes):
        yield (
            (model, f'{size}, {options.ch}', batch, dtype),
            {
                'model.mlp_pool': '1' if model == 'light' else 'full',
                'model.ch': options.ch,
                'data.image_size': size,
                'data.batch_size': batch,
                'training.compute_dtype': dtype,
            },
        )


def lower(config: ConfigDict) -> tuple[Networks, sharding.StateSharding, jax.stages.Lowered]:
    """The train step of a config, traced for all devices as training does, with its networks and where its state is."""
    networks, size = make_networks(config), config.data.image_size
    mesh = sharding.make_mesh(config.data.batch_size, config.training.accumulate)
    state_sharding = sharding.StateSharding(mesh, config.training.shard_params)
    state: TrainState = state_sharding.describe(jax.eval_shape(lambda: init_state(networks, config)))
    shape = (config.data.batch_size, size, size, 3)
    images = {f'real_{d}': jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding.split(mesh)) for d in 'AB'}
    step = jax.jit(
        make_train_step(networks, config, state_sharding.gather),
        donate_argnums=0,
        out_shardings=(state_sharding(state), sharding.replicated(mesh)),
    )
    return networks, state_sharding, step.lower(state, images)


class Step:
    """A compiled train step of a config with its state and one batch of noise."""

    def __init__(self, config: ConfigDict):
        started = time.perf_counter()
        networks, state_sharding, lowered = lower(config)
        self.trace_seconds = time.perf_counter() - started
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - started  # with tracing
        trim_memory()
        self.state, self.metrics = jax.block_until_ready(init_state(networks, config, state_sharding)), {}
        trim_memory()  # as training does
        rng, size = np.random.default_rng(0), config.data.image_size
        shape = (config.data.batch_size, size, size, 3)
        self.batch = sharding.shard_batch(
            {f'real_{domain}': rng.uniform(-1, 1, shape).astype(np.float32) for domain in 'AB'}, state_sharding.mesh
        )

    def run(self, steps: int) -> None:
        """So many steps, to their end."""
        for _ in range(steps):
            self.state, self.metrics = self.compiled(self.state, self.batch)
        jax.block_until_ready((self.state, self.metrics))


def timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float, float]:
    """Result of a call, its seconds by the clock, and those of all processors."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function(*args)
    return result, time.perf_counter() - clock, time.process_time() - processor


def peak_memory() -> float:
    """Bytes that the device, or on a CPU this process, had in use at most."""
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get('peak_bytes_in_use') or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; floats with three digits."""

    def cell(value: Any) -> str:
        if value is None:
            return '-'
        return f'{value:.3g}' if isinstance(value, float) and abs(value) < 1000 else str(value)

    lines = [list(head), ['---'] * len(head), *([cell(value) for value in row] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def publish(about: Mapping[str, Any], options: Any, results: Any, file: str | None) -> None:
    """Prints the machine in words and everything as one line of JSON, and writes it to `file` where one is given."""
    print('\n' + ', '.join(f'{name} {value}' for name, value in about.items()))
    everything = {'versions': dict(about), 'options': vars(options), 'results': results}
    print(json.dumps(everything))
    if file:
        pathlib.Path(file).write_text(json.dumps(everything, indent=1) + '\n')
