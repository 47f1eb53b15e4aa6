"""Gradient accumulation: the gradients of a batch from microbatches, one after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ugatit_jax.training.types import Images


def accumulate_gradients(gradients: Callable[[Images, jax.Array], Any], batch: Images, microbatches: int) -> Any:
    """Mean of gradients(images, rows) over equal microbatches of {'A', 'B'} [B, ...]; rows [b] are places in the batch.

    Microbatch m has the rows m, m + microbatches, ...: each device keeps the rows that it has.
    """
    rows = jnp.arange(batch['A'].shape[0])
    if microbatches == 1:
        return gradients(batch, rows)
    split = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, microbatches, *x.shape[1:]), 1, 0), (batch, rows))
    shapes = jax.eval_shape(gradients, *jax.tree.map(lambda x: x[0], split))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = jax.lax.scan(
        lambda total, microbatch: (jax.tree.map(jnp.add, total, gradients(*microbatch)), None), zeros, split
    )
    return jax.tree.map(lambda x: x / microbatches, total)
