"""Where arrays are: one mesh over all devices of all processes, batches sharded over it, the state replicated or sharded."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ugatit_jax.common.errors import UserError

MIN_SHARDED_ELEMENTS = 2**16  # 256 KB in float32: gathering smaller arrays costs more time than their memory is worth
KEEP_SHARDED_ELEMENTS = 2**25  # 128 MB in float32: only the full model's first MLP matrix, which is multiplied in shards


def make_mesh(batch_size: int, microbatches: int = 1) -> Mesh:
    """A mesh with one axis, 'data', over all devices; raises UserError where the batch does not divide over them."""
    devices = jax.device_count()
    if batch_size % (devices * microbatches):
        each = f' in {microbatches} microbatches (training.accumulate)' if microbatches > 1 else ''
        raise UserError(
            f'data.batch_size={batch_size} does not divide over {devices} devices{each}: choose a multiple of '
            f'{devices * microbatches}, or make fewer devices visible'
        )
    return jax.make_mesh((devices,), ('data',), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The whole array on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """The first axis sharded over the devices."""
    return NamedSharding(mesh, PartitionSpec('data'))


def identity(tree: Any) -> Any:
    """The tree itself; a named function, as jax.jit compiles each new lambda again."""
    return tree


class StateSharding(NamedTuple):
    """How the leaves of a train state are sharded: replicated, or with shard_params large ones over the mesh (FSDP)."""

    mesh: Mesh
    shard_params: bool = False

    def __call__(self, tree: Any) -> Any:
        """A sharding for every array, or ShapeDtypeStruct, of a tree."""
        return jax.tree.map(lambda leaf: NamedSharding(self.mesh, self.spec(leaf.shape)), tree)

    def spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        """Shards the longest axis that divides over the devices."""
        axes = [i for i, n in enumerate(shape) if n % self.mesh.size == 0]
        if not self.shard_params or math.prod(shape) < MIN_SHARDED_ELEMENTS or not axes:
            return PartitionSpec()
        longest = max(axes, key=lambda i: shape[i])
        return PartitionSpec(*('data' if i == longest else None for i in range(len(shape))))

    def abstract(self, tree: Any) -> Any:
        """ShapeDtypeStructs with shardings for a tree of arrays or of their shapes: what Orbax and jit.lower take."""
        return jax.tree.map(
            lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree, self(tree)
        )

    def replicate(self, tree: Any) -> Any:
        """Outside jit: a tree of arrays, each of them whole on every device."""
        return jax.jit(identity, out_shardings=replicated(self.mesh))(tree) if self.shard_params else tree

    def gather(self, params: Any) -> Any:
        """Inside jit: whole parameters from sharded ones, for as long as they are used; the largest matrix stays sharded."""
        if not self.shard_params:
            return params

        def whole(leaf: jax.Array) -> jax.Array:
            spec = self.spec(leaf.shape) if leaf.size >= KEEP_SHARDED_ELEMENTS else PartitionSpec()
            return jax.lax.with_sharding_constraint(leaf, NamedSharding(self.mesh, spec))

        return jax.tree.map(whole, params)


def shard_batch(batch: dict[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """This process's rows of a batch as global arrays; asynchronous."""
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(batch_sharding(mesh), rows), batch)


def map_batches(function: Callable[[jax.Array], Any], rows: Iterable[np.ndarray], size: int, mesh: Mesh) -> Iterator[Any]:
    """Outputs of function(batch) on the host, for batches of at least `size` rows sharded over the devices.

    The last batch is padded with copies of its last row, so that one program serves all, and its outputs are cut to the
    real rows. Every process passes all rows; `function` has to replicate its outputs. The next batch is prepared while the
    devices compute.
    """
    size += -size % mesh.size
    rows, pending, count = iter(rows), None, 0
    while batch := list(itertools.islice(rows, size)):
        padded = np.stack(batch + batch[-1:] * (size - len(batch)))
        # not from process-local data: the rows have to keep their order, however devices are numbered
        running = function(jax.make_array_from_callback(padded.shape, batch_sharding(mesh), padded.__getitem__))
        if pending is not None:
            yield jax.device_get(pending)
        pending, count = running, len(batch)
    if pending is not None:
        yield jax.tree.map(lambda out: out[:count], jax.device_get(pending))
