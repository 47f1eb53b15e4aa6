"""Data parallelism: one mesh over all devices of all processes, the batch split over it, the state on every device."""
import itertools
from collections.abc import Callable, Iterable, Iterator
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


def map_rows(function: Callable[[jax.Array], Any], rows: Iterable[np.ndarray], size: int, mesh: Mesh) -> Iterator[Any]:
    """Outputs of function(batch) on the host, for batches of at least `size` rows dealt over the devices.

    The last batch is filled up with copies of its last row, so that one program serves all, and its outputs are cut to
    the rows that there are. Every process gives all rows; `function` has to put its outputs on every device. The next
    batch is prepared while the devices work.
    """
    size += -size % mesh.size
    rows, pending, count = iter(rows), None, 0
    while batch := list(itertools.islice(rows, size)):
        filled = np.stack(batch + batch[-1:] * (size - len(batch)))
        # not from process-local data: the order of rows has to be the order given, however devices are numbered
        running = function(jax.make_array_from_callback(filled.shape, split(mesh), filled.__getitem__))
        if pending is not None:
            yield jax.device_get(pending)
        pending, count = running, len(batch)
    if pending is not None:
        yield jax.tree.map(lambda out: out[:count], jax.device_get(pending))
