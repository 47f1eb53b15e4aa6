"""The order of images: a permutation for each epoch, the same in NumPy and JAX."""

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ugatit_jax.data.shuffle import shuffled_index

GOLDEN = [0, 6, 2, 4, 5, 9, 7, 1, 8, 3, 3, 6, 5, 2, 4, 8, 1, 9, 0, 7, 0, 3, 7, 4]


@hypothesis.given(n=st.integers(1, 700), seed=st.integers(0, 2**40), stream=st.integers(0, 1), epoch=st.integers(0, 1000))
@hypothesis.settings(max_examples=60, deadline=None)
def test_each_epoch_visits_every_image_once(n, seed, stream, epoch):
    order = shuffled_index(epoch * n + np.arange(n), n, seed, stream)
    assert order.dtype == np.uint32
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


@pytest.mark.parametrize('n', [1, 2, 7, 800, 2**31 - 1])
def test_numpy_and_jax_agree_bit_for_bit(n):
    i = np.concatenate([np.arange(50), np.random.default_rng(0).integers(0, 2**32, 500)])
    compiled = jax.jit(lambda i: shuffled_index(i, n, 2**35 + 5, 1, xp=jnp))
    np.testing.assert_array_equal(compiled(i.astype(np.uint32)), shuffled_index(i, n, 2**35 + 5, 1))
    assert shuffled_index(3, n, 0, 0) == shuffled_index(np.array([[3]]), n, 0, 0)[0, 0]


def test_it_does_not_change_from_release_to_release():
    # A resumed run must go on with the order that it began with.
    assert shuffled_index(np.arange(24), 10, 7, 0).tolist() == GOLDEN


def test_seeds_streams_and_epochs_are_unrelated():
    n = 1000
    base = shuffled_index(np.arange(n), n, 0, 0).astype(float)
    others = [
        shuffled_index(np.arange(n), n, 1, 0),
        shuffled_index(np.arange(n), n, 2**32, 0),
        shuffled_index(np.arange(n), n, 0, 1),
        shuffled_index(n + np.arange(n), n, 0, 0),
        np.arange(n),
    ]
    for other in others:
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.12  # 4 standard deviations
        assert (base == other).sum() < 10


def test_mixing_is_that_of_a_fair_shuffle():
    """Chi-squares per degree of freedom: place against image, and the step between neighbours."""
    n, epochs = 64, 4000
    order = shuffled_index(np.arange(n * epochs), n, 5, 0).astype(int).reshape(epochs, n)
    places = np.stack([np.bincount(order[:, place], minlength=n) for place in range(n)])
    assert abs(((places - epochs / n) ** 2 / (epochs / n)).sum() / (n - 1) ** 2 - 1) < 0.1
    steps = np.bincount((np.diff(order, axis=1) % n).ravel(), minlength=n)[1:]
    expected = epochs * (n - 1) / (n - 1)
    assert ((steps - expected) ** 2 / expected).sum() / (n - 2) < 1.8
    fixed = (order == np.arange(n)).sum() / epochs
    assert abs(fixed - 1) < 0.1
    all_orders = shuffled_index(np.arange(4 * 24000), 4, 1, 1).reshape(-1, 4) @ np.array([64, 16, 4, 1])
    counts = np.unique(all_orders, return_counts=True)[1]
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() / 23 < 2.2


@pytest.mark.parametrize('n', [0, -1, 2**31])
def test_refuses_sizes_that_it_cannot_shuffle(n):
    with pytest.raises(ValueError, match='n='):
        shuffled_index(0, n, 0, 0)
