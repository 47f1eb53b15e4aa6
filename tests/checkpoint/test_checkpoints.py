"""Checkpoints: what may change between a run and its continuation, and what is refused."""

import time

import numpy as np
import pytest

from configs import default
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json, complete, differences, validate_same_run
from ugatit_jax.config.resolve import resolve
from ugatit_jax.errors import UserError
from ugatit_jax.training.loop import first_not_finite


def config(**fields):
    c = default.get_config()
    for name, value in fields.items():
        group, field = name.split('__')
        c[group][field] = value
    return as_json(resolve(c))


def test_differences_are_named_with_both_values():
    assert differences(config(), config()) == {}
    assert differences(config(), config(model__ch=32)) == {'model.ch': (64, 32), 'model.mlp_width': (256, 128)}
    assert differences({'a': 1}, {'b': {'c': 2}}) == {'a': (1, None), 'b': (None, {'c': 2})}


def test_harmless_changes_pass_and_others_do_not():
    validate_same_run(
        config(),
        config(
            training__steps=5,
            training__log_every=7,
            data__workers=3,
            training__on_nan='restore',
            training__remat=True,
            training__shard_params=True,
        ),
        'here',
    )
    with pytest.raises(UserError, match='here was made by another run: loss.cycle_weight was 10.0, is 5.0; set'):
        validate_same_run(config(), config(loss__cycle_weight=5.0), 'here')


def test_the_first_of_the_recent_steps_that_is_not_finite_is_named():
    good, bad = {'D_A': np.float32(1), 'G_A': np.float32(2)}, {'D_A': np.float32(1), 'G_A': np.float32('nan')}
    assert first_not_finite(good, [(6, good), (7, good)]) == ''
    assert first_not_finite(bad, [(6, good), (7, bad), (8, {'D_A': np.float32('inf')} | bad)]) == 'step 7: G_A is nan'


def test_only_the_run_itself_removes_what_a_killed_save_left(tmp_path):
    left = tmp_path / 'checkpoints' / '7.orbax-checkpoint-tmp'
    left.mkdir(parents=True)
    Checkpoints(str(tmp_path)).close()
    assert left.exists()
    Checkpoints(str(tmp_path), clean=True).close()
    waited = 0.0
    while left.exists() and waited < 20:  # a thread of Orbax's does it, for which the next save waits
        time.sleep(0.1)
        waited += 0.1
    assert not left.exists()


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / 'checkpoints' / '5' / 'config').mkdir(parents=True)
    with pytest.raises(UserError, match='5: not a checkpoint of ugatit_jax'):
        Checkpoints(str(tmp_path)).read_config(5)


def test_a_config_from_before_a_field_has_what_was_done_then():
    now, before = config(model__ch=32), config(model__ch=32)
    for name in ('decoder_norm', 'up_norm', 'norm_groups', 'generator_cam', 'discriminator_cam', 'spectral_norm'):
        del before['model'][name]
    for name in [name for name in before['loss'] if name.endswith(('adversarial', 'penalty_weight', 'A2B', 'B2A'))]:
        del before['loss'][name]
    del before['optimizer']['decay_start'], before['training']['n_critic']
    before['converted'] = ['model.ch']
    assert complete(before) == now | {'converted': ['model.ch']}
    validate_same_run(complete(before), now, 'here')
    with pytest.raises(UserError, match="model.decoder_norm was 'adalin', is 'in'"):
        validate_same_run(complete({**before, 'converted': None}), config(model__ch=32, model__decoder_norm='in'), 'here')
