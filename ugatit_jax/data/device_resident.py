"""The whole training set on the accelerator: sampling and augmentation are part of the compiled step, the host rests.

The batch of step k is the pipeline's, bit for bit. Needs neither TensorFlow nor the host after the start.
"""

import concurrent.futures
import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.data.cache import bytes_needed, cached_images
from ugatit_jax.data.pipeline import STREAMS, available_cores
from ugatit_jax.data.shuffle import shuffled_index
from ugatit_jax.data.sources.open_source import Source, load_size
from ugatit_jax.errors import UserError

_logger = logging.getLogger(__name__)

Array = jax.Array


def load(source_A: Source, source_B: Source, config: ConfigDict, sharding: Any = None) -> dict[str, Array]:
    """Puts all training images on the devices: {'A': uint8 [n_A, load, load, channels_A], 'B': ...}.

    Args:
      source_A, source_B: training images.
      config: the whole configuration.
      sharding: where to; replicated over all devices of a mesh, say. None is JAX's default device.

    Raises:
      UserError: with the numbers, if they do not fit `data.device_resident_mb` or a device's free memory.
    """
    sources = {'A': source_A, 'B': source_B}
    size = load_size(config)
    counts = [(len(source), config.data[f'channels_{domain}']) for domain, source in sources.items()]
    devices = jax.local_devices() if sharding is None else sorted(sharding.addressable_devices, key=lambda d: d.id)
    check_memory(bytes_needed(counts, size), config.data.device_resident_mb, devices)
    images = cached_images(sources, size, config, in_memory=False)  # `rows` below are in memory anyway
    workers = config.data.workers or available_cores()
    arrays = {}
    for domain in 'AB':
        rows = np.empty((len(images[domain]), *images[domain].shape), np.uint8)

        def fill(i, rows=rows, domain=domain):
            rows[i] = images[domain][i]

        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, range(len(rows))))
        arrays[domain] = _put(rows, sharding)
    return arrays


def sample(arrays: dict[str, Array], step: Array, batch_size: int, seed: int) -> dict[str, Array]:
    """The global batch of a step, inside jit: {'A': uint8 [batch_size, load, load, channels_A], 'B': ...}.

    batch_size counts the images of all draws of the step.
    """
    positions = jnp.asarray(step).astype(jnp.uint32) * np.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    return {
        domain: jnp.take(rows, shuffled_index(positions, rows.shape[0], seed, STREAMS[domain], xp=jnp), axis=0, mode='clip')
        for domain, rows in arrays.items()
    }


def check_memory(needed: int, budget_mb: float, devices: list) -> None:
    """Raises UserError if `needed` bytes per device are over the budget or over what a device has left."""
    megabytes = needed / 2**20
    way_out = 'raise it, take a smaller data.image_size, or use data.device_resident=False'
    if megabytes > budget_mb:
        raise UserError(
            f'data.device_resident: the images take {megabytes:.0f} MB on each device, above '
            f'data.device_resident_mb={budget_mb:g}: {way_out}'
        )
    for device in devices:
        free = free_memory(device)
        if free is not None and needed > free:
            raise UserError(
                f'data.device_resident: the images take {megabytes:.0f} MB, {device} has {free / 2**20:.0f} MB '
                'left: take a smaller data.image_size, or use data.device_resident=False'
            )
    _logger.info('all images on the device: %.0f MB on each of %d', megabytes, len(devices))


def free_memory(device: Any) -> int | None:
    """Bytes that a device has left, or None where the backend does not say (CPU)."""
    statistics = device.memory_stats()
    if not statistics or 'bytes_limit' not in statistics:
        return None
    return statistics['bytes_limit'] - statistics.get('bytes_in_use', 0)


def _put(rows: np.ndarray, sharding: Any) -> Array:
    if sharding is None:
        return jax.device_put(rows)
    # Every process holds all images; each puts the part that its own devices want.
    return jax.make_array_from_callback(rows.shape, sharding, lambda index: rows[index])
