"""What a run needs: parameters by network, the memory of one device, and what lowers it; running out of it, in one line."""

import contextlib
import ctypes
import gc
import logging
import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import jax
from jax.sharding import AbstractMesh
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.common.errors import UserError, short_line
from ugatit_jax.common.sharding import StateSharding
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.state import TrainState, init_state

logger = logging.getLogger(__name__)

# parts of messages of JAX, XLA, CUDA and the C++ library
OUT_OF_MEMORY = (
    'RESOURCE_EXHAUSTED',
    'Out of memory',
    'out of memory',
    'bad_alloc',
    'Failed to allocate',
    'Cannot allocate',
)
EXAMPLE_SPEED = 1e13  # FLOP/s of a device in the estimate of a run's time: between a CPU's and a fast GPU's
NAMED_HINTS = 4  # settings that a message names


def log_sizes(state: TrainState, state_sharding: StateSharding) -> None:
    """Logs how many parameters each network of a state, or of its shapes, has, and what the state takes on a device."""
    counts = {
        name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for name, tree in (state.generator | state.discriminator).items()
    }
    listed = ', '.join(f'{name} {count:,}' for name, count in counts.items())
    logger.info('parameters: %s, together %s', listed, f'{sum(counts.values()):,}')
    logger.info('train state on %s: %s', devices_of(state_sharding), describe(state_bytes(state, state_sharding)))


def log_memory(compiled: Any, state: TrainState, state_sharding: StateSharding, config: ConfigDict) -> None:
    """Logs what the compiled step needs on each device, as XLA counts it, with a warning where that is too much."""
    parts = state_bytes(state, state_sharding)
    analysis = compiled.memory_analysis()
    if analysis is not None:  # some backends have none
        parts['images'] = max(analysis.argument_size_in_bytes - sum(parts.values()), 0)
        parts['work space'] = analysis.temp_size_in_bytes
    flops = (compiled.cost_analysis() or {}).get('flops', 0)
    logger.info('memory of %s: %s', devices_of(state_sharding), describe(parts))
    steps = config.training.steps
    days = steps * flops / EXAMPLE_SPEED / 86_400  # seconds
    logger.info(
        'time: %.3g TFLOP a step; %s steps take %.3g days at 10 TFLOP/s on each device', flops / 1e12, f'{steps:,}', days
    )
    limit, total = memory_limit(), sum(parts.values())
    if limit is not None and total > limit:
        logger.warning(
            'a device has %s, the step needs %s: it will not fit. Hints: %s',
            readable(limit),
            readable(total),
            '; '.join(hints(config, state_sharding.mesh.size)),
        )


def validate_size(state: TrainState, state_sharding: StateSharding, config: ConfigDict) -> None:
    """Raises UserError, before anything is allocated, where the train state alone, or its shapes, exceeds a device."""
    parts = state_bytes(state, state_sharding)
    limit, sharers = memory_limit(), 1
    if limit is None and jax.default_backend() == 'cpu':  # all devices of a process are in the host's memory
        limit, sharers = host_memory(), jax.local_device_count()
    if limit is not None and sum(parts.values()) * sharers > limit:
        raise UserError(
            f'out of memory: the train state alone takes {describe(parts)}, {devices_of(state_sharding)} has '
            f'{readable(limit // sharers)}; hints: {"; ".join(hints(config, state_sharding.mesh.size))}'
        )


def host_memory() -> int | None:
    """Bytes of the machine's memory; None where the system does not say."""
    try:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def devices_of(state_sharding: StateSharding) -> str:
    """'the device', or 'each of 4 devices'."""
    devices = state_sharding.mesh.size
    return f'each of {devices} devices' if devices > 1 else 'the device'


def state_bytes(state: TrainState, state_sharding: StateSharding) -> dict[str, int]:
    """Bytes of a train state, or of its shapes, on one device, by part."""
    parts = {
        'weights': (state.generator, state.discriminator),
        'optimizer': (state.generator_opt, state.discriminator_opt),
        'averaged copy': state.ema,
        'u and v': state.spectral,
        'step and key': (state.step, state.key),
    }

    def on_device(leaf: Any) -> int:
        shards = state_sharding.mesh.size if 'data' in state_sharding.spec(leaf.shape) else 1
        return math.prod(leaf.shape) * leaf.dtype.itemsize // shards

    return {name: sum(map(on_device, jax.tree.leaves(tree))) for name, tree in parts.items()}


def describe(parts: dict[str, int]) -> str:
    """'1.2 GB (weights 45 MB, ...)', without parts that are empty or below 1 KB."""
    listed = ', '.join(f'{name} {readable(count)}' for name, count in parts.items() if count >= 1000)
    return f'{readable(sum(parts.values()))} ({listed})'


def readable(count: int) -> str:
    """Bytes with a unit and three digits or so."""
    for unit in ('KB', 'MB'):
        count /= 1000
        if count < 1000:
            return f'{count:.0f} {unit}' if count >= 10 else f'{count:.1f} {unit}'
    return f'{count / 1000:.1f} GB'


def memory_limit() -> int | None:
    """Bytes that programs may have on this process's first device, or None where the backend does not say (CPU)."""
    return (jax.local_devices()[0].memory_stats() or {}).get('bytes_limit')


def hints(config: ConfigDict, devices: int) -> list[str]:
    """Settings that lower the memory of a run and are not made yet: first those that change no result."""
    data, model, training = config.data, config.model, config.training
    rows = data.batch_size // devices
    settings = {
        f'training.accumulate={rows} (one image of each domain at a time)': rows > training.accumulate,
        'training.remat=True (recomputes activations, slower)': not training.remat,
        'training.shard_params=True' + (' on several devices' if devices == 1 else ''): not training.shard_params,
        'training.compute_dtype=bfloat16': training.compute_dtype == 'float32',
        'data.device_resident=False': data.device_resident,
        'training.ema_decay=0': training.ema_decay > 0,
        f'model.mlp_pool=1 (the light model), now {model.mlp_pool}': model.mlp_pool != '1',
        f'a smaller data.batch_size, now {data.batch_size}': data.batch_size > devices,
        f'a smaller data.image_size, now {data.image_size}': True,
        f'a smaller model.ch, now {model.ch}': True,
    }
    return [text for text, possible in settings.items() if possible][:NAMED_HINTS]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device or the host ran out of memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY)


@contextlib.contextmanager
def explain_out_of_memory(config: ConfigDict) -> Iterator[None]:
    """Raises UserError with the size of the train state and hints in place of an out-of-memory error; config is resolved."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        devices = jax.device_count()
        state = jax.eval_shape(lambda: init_state(make_networks(config), config))
        sharding = StateSharding(AbstractMesh((devices,), ('data',)), config.training.shard_params)
        raise UserError(
            f'out of memory ({short_line(error)}); the train state alone takes '
            f'{describe(state_bytes(state, sharding))}; hints: {"; ".join(hints(config, devices))}'
        ) from error


def trim_memory() -> None:
    """Returns freed memory that Python and glibc keep to the system: over 1 GB after a step was compiled."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None  # glibc has it
    if trim is not None:
        trim(0)
