"""Spectral normalisation: the true norm after enough iterations, one sigma for each part of a batch."""

import jax
import jax.numpy as jnp
import numpy as np

from ugatit_jax.models.spectral_norm import (
    COLLECTION,
    SpectralConv,
    advance,
    norms,
    power_iteration,
    power_iteration_steps,
    select_group,
)


def make(features: int = 6) -> tuple[SpectralConv, dict, dict, jax.Array]:
    module = SpectralConv(features, 4, 2, (1, 1))
    x = jax.random.normal(jax.random.key(1), (4, 8, 8, 3))
    variables = module.init(jax.random.key(0), x)
    return module, variables['params'], select_group(variables[COLLECTION]), x


def one_group(vectors: dict) -> dict:
    return {COLLECTION: jax.tree.map(lambda leaf: leaf[None], vectors)}


def test_iterations_converge_to_the_largest_singular_value():
    _, params, vectors, _ = make()
    for _ in range(200):
        vectors = power_iteration(params['kernel'], vectors['u'])
    matrix = np.asarray(params['kernel']).reshape(-1, 6)
    np.testing.assert_allclose(vectors['v'] @ matrix @ vectors['u'], np.linalg.norm(matrix, 2), rtol=1e-4)


def test_parts_of_a_batch_have_their_own_sigma():
    module, params, start, x = make()
    first = advance(params, start)
    second = advance(params, first)
    together = module.apply({'params': params, COLLECTION: power_iteration_steps(params, start, 2)}, x)
    for rows, vectors in ((slice(0, None, 2), first), (slice(1, None, 2), second)):
        alone = module.apply({'params': params, **one_group(vectors)}, x[rows])
        np.testing.assert_allclose(together[rows], alone, rtol=1e-5, atol=1e-6)
    assert abs(together[::2] - module.apply({'params': params, **one_group(second)}, x[::2])).max() > 1e-3


def test_gradient_treats_u_and_v_as_constants():
    module, params, vectors, x = make()
    variables = one_group(vectors)

    def loss(kernel: jax.Array, sigma: jax.Array) -> jax.Array:
        """The normalisation written out on the kernel, as both releases do."""
        plain = module.apply({'params': {'kernel': kernel / sigma, 'bias': params['bias']}, **unit_sigma(kernel / sigma)}, x)
        return jnp.sum(jnp.sin(plain))

    def unit_sigma(kernel: jax.Array) -> dict:
        """Vectors that make the module divide by 1: v W u = 1."""
        u, v = vectors['u'], vectors['v']
        scale = jax.lax.stop_gradient(v @ kernel.reshape(-1, 6) @ u)
        return {COLLECTION: {'u': jax.lax.stop_gradient(u / scale)[None], 'v': v[None]}}

    kernel = params['kernel']
    direct = jax.grad(lambda k: jnp.sum(jnp.sin(module.apply({'params': params | {'kernel': k}, **variables}, x))))(kernel)
    numeric = []
    for index in ((0, 0, 0, 0), (1, 2, 1, 3), (3, 3, 2, 5)):
        step = jnp.zeros_like(kernel).at[index].set(1e-2)
        up, down = (loss(k, vectors['v'] @ k.reshape(-1, 6) @ vectors['u']) for k in (kernel + step, kernel - step))
        numeric.append(((up - down) / 2e-2, direct[index]))
    for n, d in numeric:
        np.testing.assert_allclose(n, d, rtol=2e-2, atol=2e-3)


def test_gradient_of_several_norms_is_the_sum_of_theirs():
    matrix, u, v, d = (np.random.default_rng(i).normal(size=shape) for i, shape in enumerate(((7, 5), (2, 5), (2, 7), (2,))))
    with jax.enable_x64(True):
        out, vjp = jax.vjp(lambda matrix: norms(matrix, u, v), matrix)
        np.testing.assert_allclose(out, np.einsum('gn,no,go->g', v, matrix, u), rtol=1e-12)
        np.testing.assert_allclose(vjp(d)[0], np.einsum('g,gn,go->no', d, v, u), rtol=1e-12)
