"""What keeps XLA from computing things twice or too early, from writing out maps and from turning kernels round.

A CPU's backend drops jax.lax.optimization_barrier before it fuses and orders the program; a conditional stays. What is done
on GPUs was found by compiling for one (benchmarks/compile_for.py), and saves bytes and kernels by that count.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.experimental.layout import Layout, with_layout_constraint

Tree = TypeVar('Tree')
Network = Callable[[Any, jax.Array], Any]


def on_cpu() -> bool:
    """Whether programs are for CPUs, however many."""
    return jax.default_backend() == 'cpu'


def on_gpu() -> bool:
    """Whether programs are for GPUs, however many."""
    return jax.default_backend() == 'gpu'


def single_cpu_device() -> bool:
    """Whether programs are for one CPU device.

    Several exchange arrays, and XLA does not order exchanges inside of a loop or conditional against those outside: two
    devices may wait for different ones, for ever.
    """
    return on_cpu() and jax.device_count() == 1


def optimization_barrier(tree: Tree) -> Tree:
    """`tree`; what is computed of it is neither fused with what made it nor shared with what else is made of the same.

    Not on a CPU, where barriers have no effect.
    """
    return tree if on_cpu() else jax.lax.optimization_barrier(tree)


def row_major_layout(x: jax.Array) -> jax.Array:
    """x, on one GPU with its last axis closest together in memory, as the state's arrays are.

    cuDNN has other orders for kernels. Without this XLA updates weights and both moments in those, and turns all of them
    round, float32, where one bfloat16 gradient would do. Not on several: XLA gathers arrays in pieces for a constraint.
    """
    return with_layout_constraint(x, Layout(tuple(range(x.ndim)))) if on_gpu() and jax.device_count() == 1 else x


def after(token: jax.Array, tree: Tree) -> Tree:
    """`tree`, of floating-point arrays, not before the integer `token`, which is at least 0, is there."""
    if not single_cpu_device():
        return tree
    return jax.lax.cond(token >= 0, lambda tree: tree, lambda tree: jax.tree.map(jnp.negative, tree), tree)


def recompute_after(x: jax.Array, token: jax.Array) -> jax.Array:
    """x; what is computed of it is not what was computed of x before, and not before the first of floats `token` is there.

    A 0 is added, of which XLA learns only then.
    """
    if not single_cpu_device():
        return x
    bits = jax.lax.bitcast_convert_type(token.reshape(-1)[0], f'int{8 * token.dtype.itemsize}')
    return x + ((bits & 1) >> 1).astype(x.dtype)


def checkpoint(function: Network) -> Network:
    """jax.checkpoint of function(variables, images) -> a tree of floats, such that a CPU computes activations again too.

    What depends on variables alone, XLA may keep there, and so it may the activations of second derivatives.
    """
    if not single_cpu_device():
        return jax.checkpoint(function)

    def first_elements(tree: Any) -> jax.Array:
        return sum(leaf.reshape(-1)[:1] for leaf in jax.tree.leaves(tree))

    def forward(variables: Any, images: jax.Array) -> tuple[Any, tuple[Any, jax.Array, jax.Array]]:
        out = function(variables, images)
        return out, (variables, images, first_elements(out))

    def backward(saved: tuple[Any, jax.Array, jax.Array], cotangents: Any) -> tuple[Any, jax.Array]:
        variables, images, mark = saved  # XLA may know the cotangents, as those of a mean; it does not know the output
        images = recompute_after(images, mark + first_elements(cotangents))
        return jax.vjp(function, variables, images)[1](cotangents)

    again = jax.custom_vjp(function)
    again.defvjp(forward, backward)
    return again


def scale_by_adam(b1: float, b2: float, eps: float) -> optax.GradientTransformationExtraArgs:
    """optax.scale_by_adam with the same state, for a dict of networks; on CPU its moments are made once and in place.

    There XLA would compute the first moment again inside the parameter's update, needs the old one for that, and so copies
    moments and parameters: the whole state a second time in memory, and three times the seconds. `update` takes `metrics`,
    numbers that parameters and gradients are read for: they come first, or both would be kept for them.
    """
    adam = optax.scale_by_adam(b1=b1, b2=b2, eps=eps)
    if not single_cpu_device():
        return optax.with_extra_args_support(adam)

    @jax.jit  # networks alike are traced once
    def update_network(
        always: jax.Array, grads: optax.Updates, old: optax.ScaleByAdamState
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        new = jax.lax.cond(always, lambda grads, old: adam.update(grads, old)[1], lambda _, old: old, grads, old)
        mean, square = (optax.tree.bias_correction(moment, b, new.count) for moment, b in ((new.mu, b1), (new.nu, b2)))
        return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mean, square), new

    def update(
        grads: optax.Updates,
        state: optax.ScaleByAdamState,
        params: optax.Params | None = None,
        *,
        metrics: Mapping[str, jax.Array] = MappingProxyType({}),
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        always = (state.count >= 0) | (sum(metrics.values()) > 0)
        updates, states = {}, {}
        for name in grads:  # one network's gradients need not wait for those of others
            old = state._replace(mu=state.mu[name], nu=state.nu[name])
            updates[name], states[name] = update_network(always, grads[name], old)
        mu, nu = ({name: getattr(new, moment) for name, new in states.items()} for moment in ('mu', 'nu'))
        counts = jnp.stack([new.count for new in states.values()])  # they are all equal
        return updates, state._replace(count=jnp.max(counts), mu=mu, nu=nu)

    return optax.GradientTransformationExtraArgs(adam.init, update)
