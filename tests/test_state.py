"""Learning rates of both releases, and the start of a run."""
import jax
import numpy as np
import pytest

from configs import default
from ugatit_jax.config import resolve
from ugatit_jax.networks import make_networks
from ugatit_jax.state import init_state, learning_rate


def schedule(reference: str, steps: int):
    config = default.get_config()
    config.model.reference, config.training.steps = reference, steps
    return learning_rate(resolve(config))


def test_pytorch_rate_falls_before_each_step_of_the_second_half():
    """The release's loop: `if step > iteration // 2: lr -= initial / (iteration // 2)`, with steps from 1."""
    steps, rate, expected = 1000, 1e-4, []
    for step in range(1, steps + 1):
        if step > steps // 2:
            rate -= 1e-4 / (steps // 2)
        expected.append(rate)
    rates = [float(schedule('pytorch', steps)(count)) for count in (0, 499, 500, 501, 750, 998, 999)]
    np.testing.assert_allclose(rates, [expected[i] for i in (0, 499, 500, 501, 750, 998, 999)], rtol=1e-4, atol=1e-10)


@pytest.mark.parametrize('step, epoch', [(0, 0), (499_999, 49), (500_000, 50), (510_000, 51), (999_999, 99)])
def test_paper_rate_falls_with_epochs_of_10_000_steps(step, epoch):
    """The release's loop: `lr = init_lr if epoch < 50 else init_lr * (100 - epoch) / 50`."""
    expected = 1e-4 if epoch < 50 else 1e-4 * (100 - epoch) / 50
    np.testing.assert_allclose(schedule('paper', 1_000_000)(step), expected, rtol=1e-5)


@pytest.mark.parametrize('steps', [7, 50, 150, 199, 1999, 2000])
def test_paper_rate_of_any_length_is_constant_for_half_and_falls_to_the_end(steps):
    rates = np.asarray(jax.vmap(schedule('paper', steps))(np.arange(steps)))
    assert (rates[:(steps + 1) // 2] == np.float32(1e-4)).all()
    assert (np.diff(rates) <= 0).all() and 0 < rates[-1] <= 1e-4 * (2 / steps + 0.02) * 1.01


def test_a_state_follows_from_its_seed():
    def start(seed: int):
        config = default.get_config()
        config.model.ch, config.model.n_res, config.data.image_size, config.model.n_layers_global = 2, 1, 32, 5
        config.training.ema_decay, config.seed = 0.9, seed
        config = resolve(config)
        return jax.device_get(init_state(make_networks(config), config))

    one, same, other = start(1), start(1), start(2)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(one.generator['genA2B']['stem']['kernel'], other.generator['genA2B']['stem']['kernel'])
    kernels = [one.generator[name]['stem']['kernel'] for name in ('genA2B', 'genB2A')]
    assert not np.array_equal(*kernels)
    np.testing.assert_array_equal(one.ema['genA2B']['stem']['kernel'], kernels[0])
