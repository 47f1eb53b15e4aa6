"""What is an input of the compiled step, and not a constant in it."""

import functools

import jax

from tests.helpers.small import random_batch, small_config
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step


@functools.cache
def program(**fields) -> str:
    """The lowered step of a small config."""
    config = small_config(**fields)
    networks = make_networks(config)
    state = jax.eval_shape(lambda: init_state(networks, config))
    step = jax.jit(make_train_step(networks, config))
    return step.trace(state, random_batch(config, 0), hyperparameters(config)).lower().as_text()


BOTH = dict(  # all terms that have a weight, and both rates
    loss__adversarial='wgan-gp', optimizer__learning_rate_D=1e-3, optimizer__decay_epochs=10, training__steps=30
)


def test_a_longer_run_other_rates_and_other_weights_have_the_same_program():
    others = dict(
        training__steps=31,
        optimizer__learning_rate=0.5,
        optimizer__learning_rate_D=0.25,
        optimizer__decay_start=0.7,
        optimizer__decay_epochs=20,
        optimizer__weight_decay=0.3,
        loss__adversarial_weight=3.0,
        loss__cycle_weight=5.0,
        loss__identity_weight_A2B=7.0,
        loss__cam_weight_B2A=11.0,
        loss__gradient_penalty_weight=13.0,
    )
    assert program(**BOTH) == program(**BOTH | others)


def test_what_is_not_an_input_is_in_the_program():
    assert program(**BOTH) != program(**BOTH | dict(optimizer__beta1=0.25))
