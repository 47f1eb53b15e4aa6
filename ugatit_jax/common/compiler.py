"""Workarounds for XLA: what keeps it from recomputing, reordering and transposing, on each backend that needs it.

The CPU backend drops jax.lax.optimization_barrier before it fuses and schedules the program, but keeps conditionals: there,
barriers are written as conditionals that are always true. What is done on GPUs was found by compiling for one
(benchmarks/compile_for.py); it lowers the bytes and kernels counted there and has not been timed.
"""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import optax
from jax.experimental.layout import Layout, with_layout_constraint

Tree = TypeVar('Tree')
Network = Callable[[Any, jax.Array], Any]

# matrix products and convolutions by XLA's own code, only sums by the library YNNPACK
OWN_PRODUCTS = {'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE'}

PORTABLE = contextvars.ContextVar('PORTABLE', default=False)  # whether `portable` is open


@contextlib.contextmanager
def portable() -> Iterator[None]:
    """What is traced inside is for every kind of device: no workaround of this module, and no form of one backend."""
    before = PORTABLE.set(True)
    try:
        yield
    finally:
        PORTABLE.reset(before)


def backend() -> str:
    """'cpu', 'gpu' or 'tpu', what programs are compiled for; 'any' inside `portable`."""
    return 'any' if PORTABLE.get() else jax.default_backend()


def on_cpu() -> bool:
    """Whether programs are compiled for CPUs, one or several."""
    return backend() == 'cpu'


def on_gpu() -> bool:
    """Whether programs are compiled for GPUs, one or several."""
    return backend() == 'gpu'


def on_tpu() -> bool:
    """Whether programs are compiled for TPUs, one or several."""
    return backend() == 'tpu'


def forward_options() -> dict[str, str] | None:
    """Compiler options of a generator's forward pass: on CPUs without YNNPACK's products, which take 6 to 30 % longer there.

    Not for a train step, where they pay: the gradients of layers with few rows take ten times as long without.
    """
    return OWN_PRODUCTS if on_cpu() and xla_has_own_products() else None


@functools.cache
def xla_has_own_products() -> bool:
    """Whether this XLA knows OWN_PRODUCTS, an experimental option."""
    try:
        jax.jit(jnp.negative, compiler_options=OWN_PRODUCTS).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def single_cpu_device() -> bool:
    """Whether programs are compiled for one CPU device: only there are conditionals used as barriers.

    With several devices they deadlock: XLA does not order collectives inside a loop or conditional against those outside,
    so that two devices may wait for different ones.
    """
    return on_cpu() and jax.device_count() == 1


def optimization_barrier(tree: Tree) -> Tree:
    """jax.lax.optimization_barrier; no-op on CPU, where it has no effect, and in what is for every device."""
    return tree if on_cpu() or PORTABLE.get() else jax.lax.optimization_barrier(tree)


def row_major_layout(x: jax.Array) -> jax.Array:
    """x with a row-major layout, that of the train state's arrays, on a single GPU; no-op elsewhere.

    cuDNN prefers other layouts for kernels. Without the constraint XLA updates weights and both moments in those and
    transposes all of them, in float32, instead of one bfloat16 gradient. With several GPUs it would gather shards for it.
    """
    return with_layout_constraint(x, Layout(tuple(range(x.ndim)))) if on_gpu() and jax.device_count() == 1 else x


def depend_on(token: jax.Array, tree: Tree) -> Tree:
    """`tree`, of floats, behind a dependency on the integer `token` >= 0; no-op but for a single CPU device."""
    if not single_cpu_device():
        return tree
    return jax.lax.cond(token >= 0, lambda tree: tree, lambda tree: jax.tree.map(jnp.negative, tree), tree)


def recompute_after(x: jax.Array, token: jax.Array) -> jax.Array:
    """x behind a dependency on the float array `token`; prevents CSE with earlier uses of x. No-op but for a single CPU.

    Adds a zero that XLA cannot fold, as it is computed from the bits of token[0].
    """
    if not single_cpu_device():
        return x
    bits = jax.lax.bitcast_convert_type(token.reshape(-1)[0], f'int{8 * token.dtype.itemsize}')
    return x + ((bits & 1) >> 1).astype(x.dtype)


def checkpoint(function: Network) -> Network:
    """jax.checkpoint of function(variables, images) -> tree of floats that XLA's CPU backend cannot undo by CSE.

    On a single CPU device values that depend on the variables alone may be kept, and so may activations of second
    derivatives.
    """
    if not single_cpu_device():
        return jax.checkpoint(function)

    def first_elements(tree: Any) -> jax.Array:
        return sum(leaf.reshape(-1)[:1] for leaf in jax.tree.leaves(tree))

    def forward(variables: Any, images: jax.Array) -> tuple[Any, tuple[Any, jax.Array, jax.Array]]:
        out = function(variables, images)
        return out, (variables, images, first_elements(out))

    def backward(saved: tuple[Any, jax.Array, jax.Array], cotangents: Any) -> tuple[Any, jax.Array]:
        variables, images, token = saved
        # the output in the token: cotangents alone may be constants, as those of a mean are
        images = recompute_after(images, token + first_elements(cotangents))
        return jax.vjp(function, variables, images)[1](cotangents)

    recomputed = jax.custom_vjp(function)
    recomputed.defvjp(forward, backward)
    return recomputed


def scale_by_adam(b1: float, b2: float, eps: float, eps_mode: str) -> optax.GradientTransformationExtraArgs:
    """optax.scale_by_adam with the same state, for a dict of networks; on a single CPU device updated in place.

    eps_mode: 'after_correction' is m / (sqrt(v) + eps) of the bias-corrected moments, as in PyTorch and the paper of Adam
    (algorithm 1). 'before_correction' is TensorFlow 1's, with sqrt(1 - b2^t) / (1 - b1^t) in the learning rate (section 2,
    the end): of corrected moments m / (sqrt(v) + eps / sqrt(1 - b2^t)), which is smaller in the first steps.

    XLA's CPU backend would fuse the new first moment into the parameter's update, where it needs the old one, and so copies
    moments and parameters: twice the memory of the state, three times the seconds. `update` takes `metrics`, scalars
    computed from parameters and gradients: they are computed first, or both would be kept alive for them.
    """
    adam = optax.scale_by_adam(b1=b1, b2=b2, eps=eps)

    def new_moments(always: jax.Array, grads: optax.Updates, old: optax.ScaleByAdamState) -> optax.ScaleByAdamState:
        if not single_cpu_device():
            return adam.update(grads, old)[1]
        return jax.lax.cond(always, lambda grads, old: adam.update(grads, old)[1], lambda _, old: old, grads, old)

    @jax.jit  # networks with the same architecture are traced once
    def update_network(
        always: jax.Array, grads: optax.Updates, old: optax.ScaleByAdamState
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        new = new_moments(always, grads, old)
        mean, square = (optax.tree.bias_correction(moment, b, new.count) for moment, b in ((new.mu, b1), (new.nu, b2)))
        offset = eps if eps_mode == 'after_correction' else eps / jnp.sqrt(1 - b2 ** new.count.astype(jnp.float32))
        return jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + offset), mean, square), new

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
        for name in grads:  # one network's update does not wait for the gradients of others
            old = state._replace(mu=state.mu[name], nu=state.nu[name])
            updates[name], states[name] = update_network(always, grads[name], old)
        mu, nu = ({name: getattr(new, moment) for name, new in states.items()} for moment in ('mu', 'nu'))
        counts = jnp.stack([new.count for new in states.values()])  # all are equal
        return updates, state._replace(count=jnp.max(counts), mu=mu, nu=nu)

    return optax.GradientTransformationExtraArgs(adam.init, update)
