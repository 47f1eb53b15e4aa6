"""Learning rates of both releases, and ours."""

import jax
import numpy as np
import pytest

from configs import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.training.learning_rate import learning_rate, schedule_of


def schedule(reference: str, steps: int):
    config = default.get_config()
    config.model.reference, config.training.steps = reference, steps
    return rate_of(resolve(config), 'generator')


def rate_of(config, kind: str):
    """count -> rate, with the schedule's numbers as inputs of the program, as in the step."""
    rate = jax.jit(lambda schedule, count: learning_rate(config, schedule, count))
    return lambda count: rate(schedule_of(config, kind), count)


@pytest.mark.parametrize('steps', [5, 7, 1000])
def test_pytorch_rate_falls_before_each_step_of_the_second_half(steps):
    """The release's loop: `if step > iteration // 2: lr -= initial / (iteration // 2)`, with steps from 1.

    Where iteration is odd, the last rate of the release is below 0; ours is 0.
    """
    rate, expected = 1e-4, []
    for step in range(1, steps + 1):
        if step > steps // 2:
            rate -= 1e-4 / (steps // 2)
        expected.append(max(rate, 0))
    rates = jax.vmap(schedule('pytorch', steps))(np.arange(steps))
    np.testing.assert_allclose(rates, expected, rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize('step, epoch', [(0, 0), (499_999, 49), (500_000, 50), (510_000, 51), (999_999, 99)])
def test_paper_rate_falls_with_epochs_of_10_000_steps(step, epoch):
    """The release's loop: `lr = init_lr if epoch < 50 else init_lr * (100 - epoch) / 50`."""
    expected = 1e-4 if epoch < 50 else 1e-4 * (100 - epoch) / 50
    np.testing.assert_allclose(schedule('paper', 1_000_000)(step), expected, rtol=1e-5)


@pytest.mark.parametrize('steps', [7, 50, 150, 199, 1999, 2000])
def test_paper_rate_of_any_length_is_constant_for_half_and_falls_to_the_end(steps):
    rates = np.asarray(jax.vmap(schedule('paper', steps))(np.arange(steps)))
    assert (rates[: (steps + 1) // 2] == np.float32(1e-4)).all()
    assert (np.diff(rates) <= 0).all() and 0 < rates[-1] <= 1e-4 * (2 / steps + 0.02) * 1.01


def rates(kind: str = 'generator', **fields) -> np.ndarray:
    """Rates of every step of a run of 1000."""
    config = default.get_config()
    config.model.reference, config.training.steps = 'pytorch', 1000
    for name, value in fields.items():
        config.data.batch_size = value if name == 'batch_size' else config.data.batch_size
        if name != 'batch_size':
            config.optimizer[name] = value
    return np.asarray(jax.vmap(rate_of(resolve(config), kind))(np.arange(1000)))


def test_rates_that_the_releases_do_not_have():
    cosine = 1e-4 * (1 + np.cos(np.pi * np.arange(1000) / 1000)) / 2
    np.testing.assert_allclose(rates(decay='cosine'), cosine, rtol=1e-4, atol=1e-10)
    np.testing.assert_allclose(rates(decay='constant'), 1e-4, rtol=1e-6)
    late = 1e-4 * np.minimum(1, (1000 - np.arange(1, 1001)) / 200)
    np.testing.assert_allclose(rates(decay_start=0.8), late, rtol=1e-3, atol=1e-10)
    np.testing.assert_allclose(rates(decay_start=0.8, decay_epochs=10), 1e-4 * np.repeat([1] * 9 + [0.5], 100), rtol=1e-5)
    np.testing.assert_allclose(rates(batch_size=16, batch_scaling='linear'), 16 * rates(), rtol=1e-5)
    np.testing.assert_allclose(rates(batch_size=16, batch_scaling='sqrt'), 4 * rates(), rtol=1e-5)
    np.testing.assert_allclose(rates('discriminator', learning_rate_D=4e-4), 4 * rates(), rtol=1e-5)
    np.testing.assert_array_equal(rates(batch_size=16, learning_rate_D=4e-4), rates())
