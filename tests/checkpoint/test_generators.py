"""Generators from a workdir: which step, which weights, which of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from configs import default
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    """Three checkpoints; the second has the best metric. Weights are single numbers: the step, and half of it for ema."""
    path = tmp_path_factory.mktemp('run')
    config = default.get_config()
    config.training.keep_best, config.training.ema_decay = '-domain_accuracy', 0.9
    config.evaluation.every = config.training.checkpoint_every
    checkpoints = Checkpoints(str(path), keep=1, best=config.training.keep_best)
    for step, accuracy in ((1, 0.2), (2, 0.8), (3, 0.5), (4, None)):
        generators = {'genA2B': {'w': jnp.full(2, float(step))}, 'genB2A': {'w': jnp.full(3, -float(step))}}
        checkpoints.write(
            step,
            as_json(resolve(config)),
            {} if accuracy is None else {'domain_accuracy': accuracy},
            generators={'raw': generators, 'ema': {name: {'w': net['w'] / 2} for name, net in generators.items()}},
        )
    checkpoints.close()
    return path


def test_the_newest_and_the_best_are_kept_and_found(workdir):
    assert sorted(p.name for p in (workdir / 'checkpoints').iterdir()) == ['2', '4']
    assert [load_generators(str(workdir), step).step for step in ('latest', 'best', 2)] == [4, 2, 2]
    assert load_generators(str(workdir / 'checkpoints' / '2')).step == 2


def test_averaged_weights_unless_raw_ones_are_asked_for(workdir):
    averaged, raw = load_generators(str(workdir)), load_generators(str(workdir), weights='raw', names=('genB2A',))
    assert averaged.weights == 'ema' and averaged.config.training.ema_decay == 0.9
    np.testing.assert_array_equal(averaged.generator['genA2B']['w'], [2, 2])
    assert raw.weights == 'raw' and list(raw.generator) == ['genB2A']
    np.testing.assert_array_equal(raw.generator['genB2A']['w'], [-4, -4, -4])


def test_the_config_alone(workdir):
    loaded = load_generators(str(workdir), names=())
    assert loaded.generator == {} and loaded.step == 4 and loaded.config.training.ema_decay == 0.9


def test_what_is_not_there_is_refused_with_what_is(workdir, tmp_path):
    with pytest.raises(UserError, match='has no step 3; it has 2, 4'):
        load_generators(str(workdir), 3)
    for step in (4, 'best'):  # one of the two is a mistake
        with pytest.raises(UserError, match=f'step={step} is not that of .*/checkpoints/.; leave it out'):
            load_generators(str(workdir / 'checkpoints' / '2'), step)
    assert load_generators(str(workdir / 'checkpoints' / '2'), 2).step == 2
    with pytest.raises(UserError, match='neither a workdir'):
        load_generators(str(tmp_path))
    assert not list(tmp_path.iterdir())
    (tmp_path / 'checkpoints').mkdir()
    with pytest.raises(UserError, match='no finished checkpoint'):
        load_generators(str(tmp_path))
