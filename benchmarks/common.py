"""What the benchmarks share: their flags, the versions that figures depend on, a compiled train step, tables and JSON."""

import argparse
import itertools
import json
import os
import pathlib
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jaxlib
import numpy as np
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert.official_layout import write_networks
from ugatit_jax.convert.official_names import OfficialNames
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.compile import place_hyperparameters, trace_step
from ugatit_jax.training.inputs import abstract_input
from ugatit_jax.training.memory import trim_memory
from ugatit_jax.training.state import TrainState, init_state
from ugatit_jax.training.step import make_train_step

RESIDENT_IMAGES = (64, 64)  # training images of A and B that a step with data.device_resident draws from


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser for `python -m benchmarks.NAME` with the flag that all benchmarks have."""
    parser = argparse.ArgumentParser(
        prog=f'python -m benchmarks.{name}', description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--json', metavar='FILE', help='also write the figures to this file')
    return parser


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
    """The resolved default config with `fields`, by dotted names; raises UserError where that does not work."""
    config = default.get_config().lock()  # no new fields
    for name, value in fields.items():
        section, _, field = name.rpartition('.')
        try:
            (config[section] if section else config)[field] = value
        except KeyError:
            raise UserError(f'config: there is no field {name}; ugatit_jax/config/default.py has all of them') from None
        except (TypeError, ValueError) as error:
            raise UserError(f'config: {name}={value!r} does not work: {first_line(error)}') from None
    return resolve(config)


def cases(options: argparse.Namespace) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """For all of options.models, .sizes, .batches and .dtypes the first cells of a row and the fields of a config."""
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


def lower(config: ConfigDict) -> tuple[jax.stages.Lowered, sharding.StateSharding]:
    """The lowered train step of a config, over all devices and with augmentation, as training has it."""
    networks = make_networks(config)
    mesh = sharding.make_mesh(config.data.batch_size, config.training.accumulate)
    state_sharding = sharding.StateSharding(mesh, config.training.shard_params)
    shapes = jax.eval_shape(lambda: init_state(networks, config))
    train_step = make_train_step(networks, config, state_sharding.gather)
    return trace_step(train_step, shapes, config, state_sharding, RESIDENT_IMAGES).lower(), state_sharding


def official_weights(state: TrainState, config: ConfigDict) -> dict[str, np.ndarray]:
    """The weights of a state on the host under the names of the official PyTorch code, u and v included."""
    names = OfficialNames.of_config('pytorch', config)
    return write_networks(names, state.generator) | write_networks(names, state.discriminator, state.spectral)


class Step:
    """A compiled train step of a config with its state and random images."""

    def __init__(self, config: ConfigDict):
        started = time.perf_counter()
        lowered, state_sharding = lower(config)
        self.trace_seconds = time.perf_counter() - started  # with lowering
        self.compiled = lowered.compile()
        self.compile_seconds = time.perf_counter() - started  # with tracing
        trim_memory()
        self.state = jax.block_until_ready(init_state(make_networks(config), config, state_sharding))
        self.metrics, self.hyperparameters = {}, place_hyperparameters(config, state_sharding.mesh)
        trim_memory()
        rng, mesh = np.random.default_rng(0), state_sharding.mesh
        self.input = jax.tree.map(
            lambda shape: jax.device_put(rng.integers(0, 256, shape.shape, shape.dtype), shape.sharding),
            abstract_input(config, mesh, RESIDENT_IMAGES),
        )

    def run(self, steps: int) -> None:
        """Runs so many steps and waits for their end."""
        for _ in range(steps):
            self.state, self.metrics = self.compiled(self.state, self.input, self.hyperparameters)
        jax.block_until_ready((self.state, self.metrics))


def timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float, float]:
    """The result of a call, its wall-clock seconds and its CPU seconds, summed over all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*args)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def peak_memory() -> float:
    """Peak memory in bytes: of the first device, or on a CPU of this process."""
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get('peak_bytes_in_use') or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KB on Linux


def read_evaluations(run: pathlib.Path) -> list[dict[str, float]]:
    """Rows of a run's evaluation.jsonl; none where it has not been evaluated."""
    file = run / 'evaluation.jsonl'
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def require_evaluations(run: pathlib.Path) -> list[dict[str, float]]:
    """`read_evaluations`; raises UserError where there are none."""
    if not (rows := read_evaluations(run)):
        raise UserError(f'{run} has no evaluation.jsonl: train it with evaluation.every')
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; floats with three digits."""

    def cell(value: Any) -> str:
        if value is None:
            return '-'
        return f'{value:.3g}' if isinstance(value, float) and abs(value) < 1000 else str(value)

    lines = [list(head), ['---'] * len(head), *([cell(value) for value in row] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def publish(about: Mapping[str, Any], options: argparse.Namespace, results: Any) -> None:
    """Prints the versions, and everything as one line of JSON; writes it to options.json where that is set."""
    print('\n' + ', '.join(f'{name} {value}' for name, value in about.items()))
    everything = {'versions': dict(about), 'options': vars(options), 'results': results}
    print(json.dumps(everything))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1) + '\n')
