"""The whole training set on the accelerator: sampling and augmentation are part of the compiled step, the host is idle.

The batch of step k is the pipeline's, bit for bit. Needs neither TensorFlow nor the host after the start.
"""

import concurrent.futures
import logging
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.derived import load_size
from ugatit_jax.data.cache import Images, bytes_needed, cached_images
from ugatit_jax.data.pipeline import STREAMS, available_cores
from ugatit_jax.data.shuffle import shuffled_index
from ugatit_jax.data.sources.open_source import Source

logger = logging.getLogger(__name__)


class ResidentImages(NamedTuple):
    """All training images of both domains at the load size: a pytree of two arrays on the devices."""

    A: jax.Array  # uint8 [n_A, load, load, channels_A]
    B: jax.Array  # uint8 [n_B, load, load, channels_B]


def load(
    source_A: Source, source_B: Source, config: ConfigDict, sharding: jax.sharding.Sharding | None = None
) -> ResidentImages:
    """Reads all training images and puts them on the devices of `sharding`, on JAX's default device without one.

    Raises UserError, before reading any, where they do not fit `data.device_resident_mb` or a device's free memory.
    """
    sources = {'A': source_A, 'B': source_B}
    devices = jax.local_devices() if sharding is None else sorted(sharding.addressable_devices, key=lambda d: d.id)
    validate_counts((len(source_A), len(source_B)), config, devices)
    images = cached_images(sources, load_size(config), config, in_memory=False)  # they are in memory below anyway
    workers = config.data.workers or available_cores()
    return ResidentImages(**{domain: put(read_all(images[domain], workers), sharding) for domain in 'AB'})


def draw_batch(resident: ResidentImages, step: jax.Array | int, batch_size: int, seed: int) -> dict[str, jax.Array]:
    """The global batch of a step, inside jit: {'A': uint8 [batch_size, load, load, channels_A], 'B': ...}.

    batch_size counts the images of all draws of the step.
    """
    positions = jnp.asarray(step).astype(jnp.uint32) * np.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    return {
        domain: jnp.take(rows, shuffled_index(positions, rows.shape[0], seed, STREAMS[domain], xp=jnp), axis=0, mode='clip')
        for domain, rows in resident._asdict().items()
    }


def validate_counts(counts: tuple[int, int], config: ConfigDict, devices: list[jax.Device]) -> None:
    """Raises UserError if so many training images of A and of B do not fit, as `validate_memory` says."""
    images = [(count, config.data[f'channels_{domain}']) for domain, count in zip('AB', counts)]
    validate_memory(bytes_needed(images, load_size(config)), config.data.device_resident_mb, devices)


def validate_memory(needed: int, budget_mb: float, devices: list[jax.Device]) -> None:
    """Raises UserError if `needed` bytes per device are over the budget or over what a device has free."""
    megabytes = needed / 2**20
    hint = 'take a smaller data.image_size, or use data.device_resident=False'
    if megabytes > budget_mb:
        raise UserError(
            f'data.device_resident: the images take {megabytes:.0f} MB on each device, above '
            f'data.device_resident_mb={budget_mb:g}: raise it, {hint}'
        )
    for device in devices:
        free = free_memory(device)
        if free is not None and needed > free:
            raise UserError(
                f'data.device_resident: the images take {megabytes:.0f} MB, {device} has {free / 2**20:.0f} MB left: {hint}'
            )
    logger.info('all images on the device: %.0f MB on each of %d', megabytes, len(devices))


def free_memory(device: jax.Device) -> int | None:
    """Bytes that a device has left, or None where the backend does not say (CPU)."""
    statistics = device.memory_stats()
    if not statistics or 'bytes_limit' not in statistics:
        return None
    return statistics['bytes_limit'] - statistics.get('bytes_in_use', 0)


def read_all(images: Images, workers: int) -> np.ndarray:
    """All images of a domain, read by `workers` threads: uint8 [n, load, load, C]."""
    rows = np.empty((len(images), *images.shape), np.uint8)

    def read(i: int) -> None:
        rows[i] = images[i]

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(read, range(len(rows))))
    return rows


def put(rows: np.ndarray, sharding: jax.sharding.Sharding | None) -> jax.Array:
    """The rows on the devices of a sharding; every process has all of them and puts what its own devices need."""
    if sharding is None:
        return jax.device_put(rows)
    return jax.make_array_from_callback(rows.shape, sharding, lambda index: rows[index])
