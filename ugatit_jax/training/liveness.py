"""How much memory a program needs beside its arguments and results, from its jaxpr: no compilation, no device.

A model of what XLA does, in two rules. Cheap operations (elementwise, broadcasts, reshapes, slices, padding) are computed
inside what reads them and have no buffer, unless two read them, or a convolution, a matrix product or a loop does. And
the others run in program order, but one that frees at least what it takes runs as soon as it can: an optimiser's update
right after its gradient. The answer is the largest sum of buffers that are alive at a time.
"""

import collections
import heapq
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from jax.extend import core

# read their operands as they are needed, but have a buffer of their own
REDUCING = {
    'reduce_sum',
    'reduce_max',
    'reduce_min',
    'reduce_and',
    'reduce_or',
    'reduce_prod',
    'argmax',
    'argmin',
    'concatenate',
    'split',
    'unstack',
    'stack',
    'gather',
    'dynamic_update_slice',
}
# need buffers on both sides
OPAQUE = {
    'conv_general_dilated',
    'dot_general',
    'scan',
    'while',
    'cond',
    'sort',
    'cumsum',
    'reduce_window_sum',
    'reduce_window_max',
    'select_and_scatter_add',
    'scatter',
    'scatter-add',
    'custom_call',
    'pallas_call',
    'random_bits',
    'threefry2x32',
    'rng_bit_generator',
}
# never worth a buffer
FREE = {'broadcast_in_dim', 'iota', 'reshape', 'squeeze', 'copy', 'stop_gradient', 'convert_element_type', 'expand_dims'}


class Operation(NamedTuple):
    """One operation on numbered values."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    inside: int  # bytes that it needs while it runs: a loop's body


class Program:
    """A jaxpr with its calls written out: operations in order, and the bytes of each value."""

    def __init__(self, jaxpr: core.Jaxpr):
        self.operations: list[Operation] = []
        self.bytes: list[int] = []
        names: dict[Any, int] = {}
        self.arguments = frozenset(self._new(names, var) for var in (*jaxpr.invars, *jaxpr.constvars))
        self._add(jaxpr, names)
        self.results = tuple(names[var] for var in jaxpr.outvars if not isinstance(var, core.Literal))

    def _new(self, names: dict[Any, int], var: Any) -> int:
        names[var] = len(self.bytes)
        self.bytes.append(size_of(var.aval))
        return names[var]

    def _bind(self, names: dict[Any, int], var: Any, known: dict[Any, int], value: Any) -> None:
        """Across a call's border, `var` is what `value` is on the other side; a literal is a value of its own."""
        if isinstance(value, core.Literal):
            self._new(names, var)
        else:
            names[var] = known[value]

    def _add(self, jaxpr: core.Jaxpr, names: dict[Any, int]) -> None:
        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            inner = [] if name == 'pallas_call' else list(jaxprs_in(eqn.params.values()))
            if name not in OPAQUE and len(inner) >= 1:  # a call: written out
                body = inner[0]
                sub = {}
                for var in body.constvars:
                    self._new(sub, var)
                for var, outer in zip(body.invars, eqn.invars, strict=True):
                    self._bind(sub, var, names, outer)
                self._add(body, sub)
                for outer, var in zip(eqn.outvars, body.outvars, strict=True):
                    self._bind(names, outer, sub, var)
                continue
            inputs = tuple(names[var] for var in eqn.invars if not isinstance(var, core.Literal))
            outputs = tuple(self._new(names, var) for var in eqn.outvars)
            inside = max((peak_bytes(body, loop=True) for body in inner), default=0)
            self.operations.append(Operation(name, inputs, outputs, inside))


def jaxprs_in(values: Iterable[Any]) -> Iterable[core.Jaxpr]:
    """The jaxprs among an equation's parameters."""
    for value in values:
        if isinstance(value, core.ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, core.Jaxpr):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from jaxprs_in(value)


def size_of(aval: Any) -> int:
    """Bytes of an array; random keys count as nothing."""
    return math.prod(aval.shape) * getattr(aval.dtype, 'itemsize', 0)


def peak_bytes(jaxpr: core.Jaxpr, loop: bool = False) -> int:
    """Largest sum of bytes of temporary buffers at a time; arguments and results are not counted.

    loop: `jaxpr` is a loop's body, whose results are temporary buffers before they are stacked or carried on.
    """
    program = Program(jaxpr)
    producer = {value: i for i, op in enumerate(program.operations) for value in op.outputs}
    read_by_opaque = {value for op in program.operations if op.name in OPAQUE for value in op.inputs}
    results = set(program.results)
    uses = collections.Counter(value for op in program.operations for value in op.inputs)

    def has_buffer(value: int) -> bool:
        name = program.operations[producer[value]].name
        return (
            name in OPAQUE
            or name in REDUCING
            or value in read_by_opaque
            or value in results
            or uses[value] > 1
            and name not in FREE
        )

    buffered = {value for value in producer if has_buffer(value)}
    sources: dict[int, frozenset[int]] = {}  # of a value: the buffers that computing a reader of it reads

    def sources_of(op: Operation) -> frozenset[int]:
        return frozenset().union(*(sources.get(value, frozenset()) for value in op.inputs))

    nodes = []  # (buffers read, buffers written, operation)
    for op in program.operations:
        read = sources_of(op)
        written = tuple(value for value in op.outputs if value in buffered)
        for value in op.outputs:
            sources[value] = frozenset((value,)) if value in buffered else read
        if written:
            nodes.append((read, written, op))
    return schedule(nodes, program.bytes, results if not loop else frozenset(), results)


def schedule(
    nodes: list[tuple[frozenset[int], tuple[int, ...], Operation]],
    sizes: list[int],
    free: frozenset[int] | set[int],
    kept: set[int],
) -> int:
    """Peak of running the nodes; values of `free` take no memory, those of `kept` are never given back."""
    readers = collections.Counter(value for read, _, _ in nodes for value in read)
    made_by = {value: i for i, (_, written, _) in enumerate(nodes) for value in written}
    waiting = [sum(1 for value in read if value in made_by) for read, _, _ in nodes]
    waiters = collections.defaultdict(list)
    for i, (read, _, _) in enumerate(nodes):
        for value in read:
            waiters[value].append(i)

    def size(value: int) -> int:
        return 0 if value in free else sizes[value]

    done, live, peak = [False] * len(nodes), 0, 0
    ready_later: list[int] = []  # nodes that can run, and that may free memory

    def freed(i: int) -> int:
        return sum(size(value) for value in nodes[i][0] if value in made_by and readers[value] == 1 and value not in kept)

    def run(i: int) -> None:
        nonlocal live, peak
        read, written, op = nodes[i]
        made = sum(map(size, written))
        gone = freed(i)
        # a loop over elements writes where it has read; products, convolutions and loops cannot
        together = made + op.inside if op.name in OPAQUE else max(made - gone, 0)
        peak = max(peak, live + together)
        live += made - gone
        done[i] = True
        for value in read:
            readers[value] -= 1
        for value in written:
            if not readers[value] and value not in kept:
                live -= size(value)
            for j in waiters[value]:
                waiting[j] -= 1
                if not waiting[j]:
                    heapq.heappush(ready_later, j)
        for value in read:  # the last reader of a buffer may have become one that frees it
            if readers[value] == 1:
                for j in waiters[value]:
                    if not done[j] and not waiting[j]:
                        heapq.heappush(ready_later, j)

    for i in range(len(nodes)):
        if not done[i]:
            run(i)
        while ready_later:
            j = heapq.heappop(ready_later)
            if not done[j] and nodes[j][2].name not in OPAQUE and freed(j) >= sum(map(size, nodes[j][1])):
                run(j)
    return peak
