"""What a run will need, before anything is compiled: parameters by network, memory of one device by part.

All from shapes: the state's by jax.eval_shape, the step's temporary buffers from its jaxpr (liveness.py), so
that everything in the step counts, whatever it is set to. It takes seconds, for the full model too.

Weights, optimiser, averaged copy, vectors and gradients are exact. Activations are a model of what XLA does: gradients and
activations together were 0.90 times XLA's own count (memory_analysis, temporary) at 64 pixels and ch 4, 0.94 at ch 12 and
batch 4, 1.07 at 128 pixels and ch 16, but a third of it at 32 pixels and ch 2, and 1.9 times it for the full model at 256,
whose gradients XLA takes in place, and 0.6 with training.remat (docs/performance.md). All on CPU, float32, one device: not
compared on a GPU or TPU, nor with bfloat16; several CPU devices need more, as order.py does nothing for them.
"""

import ctypes
import functools
import gc
import logging
import math
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.sharding import AbstractMesh, Mesh
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.config.derived import draws_per_step
from ugatit_jax.data.preprocess import training_load_size
from ugatit_jax.models.networks import DISCRIMINATORS, GENERATORS, make_networks
from ugatit_jax.sharding import KEEP_SHARDED_ELEMENTS, StateSharding
from ugatit_jax.training.liveness import peak_bytes
from ugatit_jax.training.state import TrainState, init_state
from ugatit_jax.training.step import make_train_step

logger = logging.getLogger(__name__)

PLACING = 1.25  # XLA's temporary memory over the largest sum of live buffers: it gives each a fixed place
BATCHES_IN_FLIGHT = 3  # the step's own and those that data.pipeline.prefetch has started


class Estimate(NamedTuple):
    """What a run needs."""

    parameters: dict[str, int]  # of each of the six networks
    parts: dict[str, int]  # bytes on one device
    devices: int
    mlp_bytes: int  # weights of the gamma/beta MLPs' first layers, all devices together: what mlp_pool decides

    @property
    def total(self) -> int:
        """Bytes on one device."""
        return sum(self.parts.values())


@functools.lru_cache(maxsize=4)
def estimate(
    config: ConfigDict, devices: int = 1, images: tuple[int, int] | None = None, step: core.Jaxpr | None = None
) -> Estimate:
    """The estimate for a resolved config on a mesh of `devices`.

    images: how many the training sets have, which counts for data.device_resident only; without it their budget does.
    step: the step as traced for one device, so that it is not traced again.
    """
    networks = make_networks(config)
    state = jax.eval_shape(lambda: init_state(networks, config))
    state_sharding = StateSharding(AbstractMesh((devices,), ('data',)), config.training.shard_params)
    on_device = functools.partial(bytes_on_device, state_sharding=state_sharding)
    peak = step_bytes(config, state, devices, step)
    # the gradients of both generators are complete at the step's end: they are part of its temporary buffers
    activations = max(peak - tree_bytes(state.generator), 0)
    both = {'generator': state.generator, 'discriminator': state.discriminator}
    gathered = whole_on_device(both, state_sharding) - on_device(both) if config.training.shard_params else 0
    parts = {
        'weights': on_device(state.generator) + on_device(state.discriminator),
        'gradients': whole_on_device(state.generator, state_sharding),
        'optimiser': on_device(state.generator_opt) + on_device(state.discriminator_opt),
        'averaged copy': on_device(state.ema),
        'spectral vectors': on_device(state.spectral),
        'gathered weights': gathered,
        'activations': activations,
        'images': image_bytes(config, devices, images),
    }
    counts = {
        name: sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
        for name, tree in (state.generator | state.discriminator).items()
    }
    mlp = [leaf for path, leaf in jax.tree.leaves_with_path(state.generator) if path[1].key == 'mlp_0']
    return Estimate({name: counts[name] for name in GENERATORS + DISCRIMINATORS}, parts, devices, tree_bytes(mlp))


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree of shapes."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def bytes_on_device(tree: Any, state_sharding: StateSharding) -> int:
    """Bytes of a tree on one device."""
    return sum(
        tree_bytes(leaf) // (state_sharding.mesh.size if 'data' in state_sharding.spec(leaf.shape) else 1)
        for leaf in jax.tree.leaves(tree)
    )


def whole_on_device(tree: Any, state_sharding: StateSharding) -> int:
    """Bytes of a tree on one device while it is used: but for the largest matrices, pieces are gathered (sharding.py)."""
    large = [leaf for leaf in jax.tree.leaves(tree) if math.prod(leaf.shape) >= KEEP_SHARDED_ELEMENTS]
    return tree_bytes(tree) - tree_bytes(large) + bytes_on_device(large, state_sharding)


def step_bytes(config: ConfigDict, state: TrainState, devices: int, step: core.Jaxpr | None) -> int:
    """Temporary memory of one step with a device's share of the batch, gradients included."""
    if step is not None and devices == 1:
        return int(PLACING * peak_bytes(step))
    size, rows = config.data.image_size, max(config.data.batch_size // devices, 1) * draws_per_step(config)
    images = {
        f'real_{domain}': jax.ShapeDtypeStruct((rows, size, size, config.data[f'channels_{domain}']), jnp.float32)
        for domain in 'AB'
    }
    jaxpr = jax.make_jaxpr(make_train_step(make_networks(config), config))(state, images)
    return int(PLACING * peak_bytes(jaxpr.jaxpr))


def image_bytes(config: ConfigDict, devices: int, images: tuple[int, int] | None) -> int:
    """Images on one device: batches as they come (uint8) and as the networks see them, or the whole set."""
    data, rows = config.data, max(config.data.batch_size // devices, 1) * draws_per_step(config)
    side = training_load_size(data.image_size, data.load_size, config.augment.crop)
    channels = (data.channels_A, data.channels_B)
    seen = rows * data.image_size**2 * sum(channels) * 4
    if not data.device_resident:
        return BATCHES_IN_FLIGHT * rows * side**2 * sum(channels) + seen
    if images is None:
        return int(data.device_resident_mb * 2**20) + seen
    return sum(count * side**2 * c for count, c in zip(images, channels, strict=True)) + seen


def describe(size: Estimate) -> list[str]:
    """The estimate as lines for people."""
    counts = ', '.join(f'{name} {count:,}' for name, count in size.parameters.items())
    where = f'each of {size.devices} devices' if size.devices > 1 else 'the device'
    parts = ', '.join(f'{name} {readable(count)}' for name, count in size.parts.items() if count)
    return [
        f'parameters: {counts}, together {sum(size.parameters.values()):,}',
        f'memory of {where}, estimated: {readable(size.total)} ({parts})',
    ]


def readable(count: int) -> str:
    """Bytes with a unit and three digits or so."""
    for unit in ('KB', 'MB'):
        count /= 1000
        if count < 1000:
            return f'{count:.0f} {unit}' if count >= 10 else f'{count:.1f} {unit}'
    return f'{count / 1000:.1f} GB'


def report(config: ConfigDict, mesh: Mesh, images: tuple[int, int] | None, step: core.Jaxpr | None = None) -> None:
    """Logs the estimate of a resolved config, and a warning where it is more than the device has."""
    size = estimate(config, mesh.size, images, step)
    for line in describe(size):
        logger.info('%s', line)
    if warning := too_large(size, config, memory_limit()):
        logger.warning('%s', warning)


def memory_limit() -> int | None:
    """Bytes that programs may have on this process's first device, or None where the backend does not say (CPU)."""
    return (jax.local_devices()[0].memory_stats() or {}).get('bytes_limit')


def too_large(size: Estimate, config: ConfigDict, limit: int | None) -> str:
    """A warning with the way out, or '' where the estimate is within `limit` bytes."""
    if limit is None or size.total <= limit:
        return ''
    return (
        f'a device has {readable(limit)}, the estimate is {readable(size.total)}: it may not fit. What helps most: '
        f'{"; ".join(advice(size, config))}'
    )


def advice(size: Estimate, config: ConfigDict) -> list[str]:
    """The four settings that save most of this run's memory, best first; only such as are not made yet."""
    data, model, training = config.data, config.model, config.training
    activations = size.parts['activations']
    states = sum(size.parts[name] for name in ('weights', 'gradients', 'optimiser', 'averaged copy'))
    rows = data.batch_size // size.devices
    micro = training.accumulate
    # weights, gradients and two moments; of the averaged copy too, where there is one
    mlp = size.mlp_bytes * (5 if training.ema_decay else 4) / (size.devices if training.shard_params else 1)
    options = []  # (bytes saved, roughly; setting)
    if rows // micro > 1:
        saved = (1 - micro / rows) * activations
        options.append((saved, f'training.accumulate={rows} (the same batch, an image of each domain at a time)'))
        options.append((saved * 0.99, f'data.batch_size={size.devices}, now {data.batch_size}'))
    if not training.remat:
        options.append((0.5 * activations, 'training.remat=True (computes activations again, slower)'))
    if training.compute_dtype == 'float32':
        options.append((0.4 * activations, 'training.compute_dtype=bfloat16'))
    if model.mlp_pool != '1':
        options.append((mlp, f'model.mlp_pool=1 (the light model), now {model.mlp_pool}'))
    if not training.shard_params:
        devices = max(size.devices, 2)
        text = 'training.shard_params=True' + (' on several devices' if size.devices == 1 else '')
        options.append(((1 - 1 / devices) * states, text))
    if training.ema_decay:
        options.append((size.parts['averaged copy'], 'training.ema_decay=0'))
    if data.device_resident:
        options.append((size.parts['images'], 'data.device_resident=False'))
    options.append(
        (
            0.75 * activations + (0.9 * mlp if model.mlp_pool == 'full' else 0),
            f'a smaller data.image_size, now {data.image_size}',
        )
    )
    options.append((0.5 * activations + 0.7 * (states - mlp), f'a smaller model.ch, now {model.ch}'))
    return [text for saved, text in sorted(options, key=lambda option: -option[0])[:4] if saved > 0]


def trim_memory() -> None:
    """Returns freed memory that Python and glibc keep to the system: over 1 GB after a step was compiled."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None  # glibc has it
    if trim is not None:
        trim(0)
