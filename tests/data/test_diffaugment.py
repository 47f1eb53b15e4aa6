"""DiffAugment: amounts, random numbers by row, gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.derived import parse_policy
from ugatit_jax.data.diffaugment import diffaugment

IMAGES = jax.random.uniform(jax.random.key(9), (32, 16, 24, 3), minval=-1.0, maxval=1.0)
ALL = ('color', 'translation', 'cutout')


@functools.cache  # compiling is what takes the time
def compiled(policy):
    return jax.jit(lambda images, key: diffaugment(images, key, policy))


def run(policy, images=IMAGES, key=0):
    return compiled(policy)(images, jax.random.key(key))


def test_parse_policy():
    assert parse_policy('') == ()
    assert parse_policy('color, cutout') == ('color', 'cutout')
    with pytest.raises(UserError, match="'colour' is not one of color, translation, cutout"):
        parse_policy('colour')
    with pytest.raises(ValueError, match='colour'):
        diffaugment(IMAGES, jax.random.key(0), ('colour',))


def test_off_is_the_identity():
    assert diffaugment(IMAGES, jax.random.key(0), ()) is IMAGES


@pytest.mark.parametrize('policy', [(name,) for name in ALL] + [ALL])
def test_random_by_key_and_row_alone(policy):
    out = run(policy)
    assert out.shape == IMAGES.shape
    np.testing.assert_array_equal(out, run(policy))
    assert (out != run(policy, key=1)).any()
    front = jnp.where(jnp.arange(32)[:, None, None, None] < 3, IMAGES, 0.0)
    np.testing.assert_allclose(run(policy, front)[:3], out[:3], atol=1e-6)
    same = run(policy, jnp.broadcast_to(IMAGES[:1], IMAGES.shape))
    assert (same[0] != same[1:]).any(axis=(1, 2, 3)).mean() > 0.9


def test_gradients_pass_and_are_right():
    small = IMAGES[:2, :6, :6]
    weights, direction = (jax.random.normal(jax.random.key(seed), small.shape) for seed in (3, 4))

    @jax.jit
    def both(images):
        def loss(images):
            return (diffaugment(images, jax.random.key(0), ALL) * weights).sum()

        # Linear in the images, so any step will do.
        return loss(images + 0.5 * direction) - loss(images - 0.5 * direction), (jax.grad(loss)(images) * direction).sum()

    numeric, exact = both(small)
    np.testing.assert_allclose(numeric, exact, rtol=1e-3, atol=1e-3)
    assert abs(exact) > 0.1


def test_rows_do_not_depend_on_the_batch():
    np.testing.assert_allclose(run(ALL, IMAGES[:3]), run(ALL)[:3], atol=1e-6)


def test_translation_moves_by_an_eighth_and_brings_in_zeros():
    shifts = set()
    for got, source in zip(np.asarray(run(('translation',))), np.asarray(IMAGES), strict=True):
        padded = np.pad(source, ((2, 2), (3, 3), (0, 0)))
        matches = [(y, x) for y in range(5) for x in range(7) if (padded[y : y + 16, x : x + 24] == got).all()]
        assert len(matches) == 1
        shifts.add(matches[0])
    assert {y for y, _ in shifts} == set(range(5))
    assert {x for _, x in shifts} == set(range(7))


def test_cutout_is_a_hole_of_half_the_side():
    kept = np.asarray(run(('cutout',)) != 0).all(axis=-1)
    sizes = set()
    for mask in kept:
        hole_rows, hole_columns = (~mask).any(axis=1).sum(), (~mask).any(axis=0).sum()
        assert (~mask).sum() == hole_rows * hole_columns  # a rectangle
        sizes.add((hole_rows, hole_columns))
    assert max(rows for rows, _ in sizes) == 8
    assert max(columns for _, columns in sizes) == 12
    assert min(rows for rows, _ in sizes) >= 4


def test_color_stays_in_its_limits():
    grey = run(('color',), jnp.zeros_like(IMAGES))
    assert -0.5 <= grey.min() < -0.35
    assert 0.35 < grey.max() <= 0.5
    assert np.ptp(np.asarray(grey), axis=(1, 2, 3)).max() < 1e-6
    one_colour = jnp.broadcast_to(jnp.array([0.3, 0.0, -0.3]), IMAGES.shape)
    spread = np.ptp(np.asarray(run(('color',), one_colour)), axis=-1)[:, 0, 0] / 0.6  # saturation times contrast
    assert 0.0 <= spread.min() < 0.3
    assert 1.6 < spread.max() <= 3.0
