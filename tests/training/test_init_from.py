"""A new run that starts from another's weights."""

import logging

import jax
import numpy as np
import pytest

from tests.helpers.small import small_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import CHANGEABLE, as_json
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.init_from import read_start, start_from
from ugatit_jax.training.state import init_state, to_items


def fresh(seed=1, **fields):
    config = small_config(seed=seed, **fields)
    return init_state(make_networks(config), config, StateSharding(make_mesh(1))), config


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A workdir with averaged generators that are twice the raw ones, at step 7; and its state."""
    state, config = fresh(training__ema_decay=0.9)
    state = state.replace(ema=jax.tree.map(lambda x: 2 * x, state.generator), step=state.step + 7)
    workdir = tmp_path_factory.mktemp('source')
    checkpoints = Checkpoints(str(workdir))
    checkpoints.write(7, as_json(config), **to_items(state))
    checkpoints.close()
    return workdir, state


def start(place, state, config):
    """The state of a run that starts from the weights at `place`."""
    return start_from(read_start(str(place), state, config), state, config)


def test_weights_are_taken_and_nothing_else(source, caplog):
    workdir, old = source
    new, config = fresh(seed=2, training__ema_decay=0.5)
    with caplog.at_level(logging.INFO):
        started = start(workdir, new, config)
    assert 'from ema generators' in caplog.text and str(workdir) in caplog.text
    assert equal(started.generator, old.ema) and equal(started.ema, old.ema)
    assert equal(started.discriminator, old.discriminator) and equal(started.spectral, old.spectral)
    assert int(started.step) == 0 and equal(started.key, new.key) and equal(started.generator_opt, new.generator_opt)
    assert equal(start(workdir / 'checkpoints' / '7', new, config).generator, old.ema)
    donated = jax.jit(lambda state: state, donate_argnums=0)(started)  # the average is a copy
    assert equal(donated.generator, old.ema)


def test_without_discriminators_they_are_fresh(source, tmp_path, caplog):
    _, old = source
    new, config = fresh(seed=2, training__ema_decay=0.9)
    with Checkpoints(str(tmp_path / 'converted')) as checkpoints:
        checkpoints.write(7, as_json(config), generators=to_items(old)['generators'])
    with caplog.at_level(logging.INFO):
        started = start(tmp_path / 'converted', new, config)
    assert equal(started.generator, old.ema) and equal(started.discriminator, new.discriminator)
    assert 'fresh: it has no discriminators' in caplog.text


def test_other_shapes_are_named_with_the_setting(source):
    new, config = fresh(model__ch=3)
    with pytest.raises(UserError) as error:
        start(source[0], new, config)
    text = str(error.value)
    assert 'genA2B/cam/bias is (12,) here, (8,) there' in text or 'disGA' in text
    assert 'model.ch=2 (is 3)' in text and 'more; set' in text and '\n' not in text
    with pytest.raises(UserError, match='neither a workdir'):
        start(source[0] / 'nowhere', new, config)


def test_a_run_continues_without_the_field():
    assert 'init_from' in CHANGEABLE
