"""3x3 convolution with a quarter of the multiplications: Winograd's F(4x4, 3x3), for compute-bound processors.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. A tile of 4x4 outputs depends on 6x6 inputs d;
with the matrices A [6, 4], G [6, 3] and B [6, 6] it is A^T [(G g G^T) * (B^T d B)] A for the kernel g: 36 products instead
of 144, each of them, over all tiles, a matrix product of channels. The gradients are the transposed sums.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ugatit_jax.common.compiler import recompute_after

TILE, REACH, TAPS = 4, 6, 3  # outputs, inputs and weights of a tile along one axis
# interpolation points, besides infinity. In float32, at 256 channels, output and gradients have 1.4 to 4.7 times the
# rounding error of plain sums; with the usual (0, 1, -1, 2, -2) 2.5 to 8.8 times
POINTS = (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A [6, 4], G [6, 3] and B^T [6, 6], with sum_u A[u, i] G[u, j] B^T[u, l] = 1 where l = i + j, else 0."""
    a, g = (np.array([[p**n for n in range(size)] for p in POINTS] + [[0] * (size - 1) + [1]]) for size in (TILE, TAPS))
    products = np.einsum('ui,uj->iju', a, g).reshape(-1, REACH)
    wanted = np.array([np.eye(REACH)[i + j] for i in range(TILE) for j in range(TAPS)])
    b = np.linalg.lstsq(products, wanted, rcond=None)[0]
    b[np.abs(b) < 1e-9] = 0
    scale = np.abs(b).max(1, keepdims=True)  # the largest of a row of B^T is 1, the kernel takes what is left
    return a, g * scale, b / scale


A, G, BT = matrices()
GG = np.kron(G, G)  # G g G^T of a kernel whose 3x3 are one axis


def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Unpadded convolution of x [B, h + 2, w + 2, in] with kernel [3, 3, in, out] -> [B, h, w, out].

    Computed in float32 at least, as the sums cancel.
    """
    h, w = (n - TAPS + 1 for n in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (0, -h % TILE), (0, -w % TILE), (0, 0)))  # the last tiles may extend beyond the map
    return convolve_tiles(x, kernel)[:, :h, :w]


@jax.custom_vjp
@jax.jit  # traced once for all convolutions of a shape
def convolve_tiles(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`convolve` of whole tiles: x [B, 4t + 2, 4s + 2, in] -> [B, 4t, 4s, out]."""
    products = jnp.einsum('uvbtsi,uvio->uvbtso', tiles(BT, x), of_kernel(kernel))
    rows = jnp.stack(sums(A.T, products), 3)  # [v, B, t, 4, s, out]
    y = jnp.stack(sums(A.T, rows), 4)
    return y.reshape(x.shape[0], x.shape[1] - 2, x.shape[2] - 2, -1).astype(x.dtype)


def forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Output and what the gradients need."""
    return convolve_tiles(x, kernel), (x, kernel)


@jax.jit
def backward(saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients to x and kernel from dy [B, 4t, 4s, out]."""
    x, kernel = saved
    # recomputed: XLA would keep the forward pass's transformed tiles, which are larger than x, if it saw that they are equal
    inputs, weights, dtiles = tiles(BT, recompute_after(x, dy)), of_kernel(recompute_after(kernel, dy)), tiles(A, dy)
    pixels = REACH, REACH, -1
    # one axis of pixels: with three XLA writes a transposed copy of both factors
    dkernel = jnp.einsum('uvni,uvno->uvio', inputs.reshape(*pixels, x.shape[3]), dtiles.reshape(*pixels, dy.shape[3]))
    dkernel = jnp.dot(GG.T.astype(dkernel.dtype), dkernel.reshape(REACH * REACH, -1)).reshape(kernel.shape)
    dinputs = jnp.einsum('uvbtso,uvio->uvbtsi', dtiles, weights)
    rows = overlap_add(sums(BT.T, dinputs), 2)  # [v, B, 4t + 2, s, in]
    return overlap_add(sums(BT.T, rows), 2).astype(x.dtype), dkernel.astype(kernel.dtype)


convolve_tiles.defvjp(forward, backward)


def wide(x: jax.Array) -> jax.Array:
    """x in at least float32."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def sums(matrix: np.ndarray, parts: Sequence[jax.Array]) -> list[jax.Array]:
    """The product of a constant matrix [n, m] with m arrays of one shape, unrolled and without its zeros: n arrays."""
    return [functools.reduce(jnp.add, (float(c) * part for c, part in zip(row, parts, strict=True) if c)) for row in matrix]


def of_kernel(kernel: jax.Array) -> jax.Array:
    """G g G^T of kernel [3, 3, in, out]: [6, 6, in, out]."""
    kernel = wide(kernel)
    return jnp.dot(GG.astype(kernel.dtype), kernel.reshape(TAPS * TAPS, -1)).reshape(REACH, REACH, *kernel.shape[2:])


def tiles(matrix: np.ndarray, x: jax.Array) -> jax.Array:
    """matrix d matrix^T [6, 6, B, t, s, C] of the tiles d, four pixels apart, of x [B, ., ., C]."""
    size = matrix.shape[1]

    def pixels(x: jax.Array, axis: int) -> list[jax.Array]:
        """The first pixel of every tile, the second, and so on."""
        last = x.shape[axis] - size
        return [lax.slice_in_dim(x, n, n + last + 1, TILE, axis) for n in range(size)]

    rows = jnp.stack(sums(matrix, pixels(wide(x), 1)))
    return jnp.stack(sums(matrix, pixels(rows, 3)), 1)


def overlap_add(pixels: Sequence[jax.Array], axis: int) -> jax.Array:
    """Six pixels of every tile [., t, .], added up where tiles overlap: [., 4t + 2, .], `axis` being that of the tiles."""

    def beside(x: jax.Array, before: int) -> jax.Array:
        return jnp.pad(x, [(before, 1 - before) if n == axis else (0, 0) for n in range(x.ndim)])

    own = [beside(pixel, 0) for pixel in pixels[:TILE]]
    own[: REACH - TILE] = [a + beside(b, 1) for a, b in zip(own, pixels[TILE:], strict=False)]
    y = jnp.stack(own, axis + 1)
    y = y.reshape(*y.shape[:axis], -1, *y.shape[axis + 2 :])
    return lax.slice_in_dim(y, 0, y.shape[axis] - TILE + REACH - TILE, axis=axis)
