"""Stored configs: their differences, and what may change between a run and its continuation."""

import pytest

from tests.helpers.small import default_config
from ugatit_jax.checkpoint.compatibility import as_json, complete, differences, validate_same_run
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve


def config(**fields):
    return as_json(resolve(default_config(**fields)))


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
            data__paired_test=False,
            training__on_nan='restore',
            training__remat=True,
            training__shard_params=True,
        ),
        'here',
    )
    with pytest.raises(UserError, match='here was made by another run: loss.cycle_weight was 10.0, is 5.0; set'):
        validate_same_run(config(), config(loss__cycle_weight=5.0), 'here')
    weights = {f'loss__{name}_weight': 3.0 for name in ('cycle', 'identity', 'cam', 'adversarial')}
    with pytest.raises(UserError, match=r'run: (.* was .*, is .*, ){4}model.ch was 64, is 2 and 2 more; set them'):
        validate_same_run(config(), config(model__ch=2, model__n_res=1, **weights), 'here')


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


@pytest.mark.parametrize(
    'name, value',
    [
        ('model.n_res', 10**9),
        ('model.ch', [2]),
        ('model.ch', {}),
        ('model.mlp_pool', 3),
        ('data.channels_A', '3'),
        ('model', 3),
    ],
)
def test_a_stored_config_that_no_run_can_have_is_refused(name, value):
    stored = config()
    group, _, field = name.partition('.')
    (stored[group] if field else stored).update({field or group: value})
    with pytest.raises(UserError, match=f'config: {name}.* does not work') as error:
        complete(stored)
    assert '\n' not in str(error.value)
