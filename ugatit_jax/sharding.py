"""Where arrays are: one mesh over all devices of all processes, the batch split over it, the state whole or in pieces."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ugatit_jax.errors import UserError

MIN_SHARDED_ELEMENTS = 2**16  # elements: smaller arrays are not worth the exchange
KEEP_SHARDED_ELEMENTS = 2**25  # elements: the first matrix of the full model's MLP multiplies where its rows are


def make_mesh(batch_size: int, parts: int = 1) -> Mesh:
    """A mesh of one axis 'data' over all devices; raises UserError where no equal share of the batch is left for each."""
    devices = jax.device_count()
    if batch_size % (devices * parts):
        each = f' in {parts} parts (training.accumulate)' if parts > 1 else ''
        raise UserError(
            f'data.batch_size={batch_size} does not divide over {devices} devices{each}: choose a multiple of '
            f'{devices * parts}, or make fewer devices visible'
        )
    return jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis dealt over the devices."""
    return NamedSharding(mesh, PartitionSpec('data'))


def same(tree: Any) -> Any:
    """The tree itself: compiled once, where a lambda would be for every call."""
    return tree


class StateSharding(NamedTuple):
    """Where the leaves of a state are: on every device, or, with shard_params, large ones in pieces (ZeRO, FSDP)."""

    mesh: Mesh
    shard_params: bool = False

    def __call__(self, tree: Any) -> Any:
        """A sharding for every array, or ShapeDtypeStruct, of a tree."""
        return jax.tree.map(lambda leaf: NamedSharding(self.mesh, self.spec(leaf.shape)), tree)

    def spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        """Cuts the longest axis that divides over the devices."""
        axes = [i for i, n in enumerate(shape) if n % self.mesh.size == 0]
        if not self.shard_params or math.prod(shape) < MIN_SHARDED_ELEMENTS or not axes:
            return PartitionSpec()
        longest = max(axes, key=lambda i: shape[i])
        return PartitionSpec(*('data' if i == longest else None for i in range(len(shape))))

    def describe(self, tree: Any) -> Any:
        """Shapes, types and shardings of a tree of arrays, or of their shapes, as Orbax restores them."""
        return jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree, self(tree)
        )

    def whole(self, tree: Any) -> Any:
        """Outside jit: a tree of arrays with all of each on every device."""
        return jax.jit(same, out_shardings=replicated(self.mesh))(tree) if self.shard_params else tree

    def gather(self, params: Any) -> Any:
        """Inside jit: whole parameters of those in pieces, for as long as they are used; the largest matrix stays."""
        if not self.shard_params:
            return params

        def whole(leaf: jax.Array) -> jax.Array:
            stays = leaf.size >= KEEP_SHARDED_ELEMENTS
            spec = self.spec(leaf.shape) if stays else PartitionSpec()
            return jax.lax.with_sharding_constraint(leaf, NamedSharding(self.mesh, spec))

        return jax.tree.map(whole, params)


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, Any]:
    """This process's rows of a batch as global arrays; asynchronous."""
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(split(mesh), rows), batch)


def map_batches(function: Callable[[jax.Array], Any], rows: Iterable[np.ndarray], size: int, mesh: Mesh) -> Iterator[Any]:
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
