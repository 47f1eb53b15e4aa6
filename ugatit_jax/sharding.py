"""Data parallelism: one mesh over all devices of all processes, the batch split over it, the state on every device."""
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ugatit_jax.errors import UserError


def make_mesh(batch_size: int) -> Mesh:
    """A mesh of one axis 'data' over all devices; raises UserError where the batch does not divide over them."""
    devices = jax.device_count()
    if batch_size % devices:
        raise UserError(
            f'data.batch_size={batch_size} does not divide over {devices} devices: choose a multiple of {devices}, or '
            'make fewer devices visible')
    return jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis dealt over the devices."""
    return NamedSharding(mesh, PartitionSpec('data'))


def put_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
    """This process's rows of a batch as global arrays; asynchronous."""
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(split(mesh), rows), batch)
