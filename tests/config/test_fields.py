"""Every field has a type and a range: whatever a field is set to, a config works or is refused in one line."""

import math
import re

import jax
import pytest
from flax.traverse_util import flatten_dict
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers.small import default_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.config import default
from ugatit_jax.config.fields import DEEPEST, INT32, SIDE, fields
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.datasets import validate_data_fields
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.state import init_state

NAMES = sorted(fields())
CHOICES = sorted({word for field in fields().values() for word in re.findall(r"'([^']*)'", field.wanted)})
WHOLE = st.one_of(st.integers(-2, 20), st.sampled_from([2**n for n in range(5, 70)]), st.integers())
VALUES = st.one_of(
    WHOLE,
    st.floats(),
    st.floats(0, 1),
    st.booleans(),
    st.none(),
    st.text(max_size=8),
    st.sampled_from(CHOICES),
    st.sampled_from(['9' * 5000, '1:2', '9:' + '9' * 5000, 'full', '٣', '²', '\ud800', 'a\nb', '\0']),
    st.lists(st.one_of(WHOLE, st.text(max_size=2), st.floats(), st.none()), max_size=4).map(tuple),
)


def works(**changed) -> bool:
    """Whether the small config with these fields, of any type, works; otherwise it is refused in one line that names one."""
    config = default_config(data__image_size=32, model__ch=2, model__n_res=1, model__n_layers_global=4)
    config.model.n_layers_local = 3
    with config.ignore_type():
        config.update_from_flattened_dict(changed)
    try:
        resolved = resolve(config)
        validate_data_fields(resolved)
    except UserError as error:
        message = str(error)
        assert '\n' not in message and len(message) < 1000, message
        assert any(name in message for name in changed), message
        return False
    assert flatten_dict(resolved.to_dict()).keys() == flatten_dict(default.get_config().to_dict()).keys()
    jax.eval_shape(lambda: init_state(make_networks(resolved), resolved))
    return True


def test_the_table_has_every_field():
    assert fields().keys() == flatten_dict(default.get_config().to_dict(), sep='.').keys()


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(NAMES), VALUES)
def test_any_value_of_any_field_works_or_is_one_line(name, value):
    works(**{name: value})


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), min_size=1, max_size=3).map(dict))
def test_more_values_and_others_each_time(changed):
    works(**changed)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), min_size=2, max_size=4).map(dict))
@example({'data.image_size': SIDE, 'model.n_layers_global': DEEPEST, 'model.n_layers_local': DEEPEST, 'model.ch': 4096})
@example({'data.image_size': SIDE, 'model.mlp_pool': 'full', 'model.ch': 4096})
@example({'data.batch_size': 65536, 'training.steps': 65535, 'optimizer.batch_scaling': 'linear'})
def test_any_values_of_several_fields_work_or_are_one_line(changed):
    works(**changed)


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('model.n_layers_global', 40, f'a whole number from 2 to {DEEPEST}'),
        ('seed', 2**63, 'seed=9223372036854775808'),
        ('model.down_padding', ('a', 'b'), "model.down_padding=('a', 'b')"),
        ('model.n_res', 0, 'model.n_res=0 with model.mlp_width unset'),
        ('model.ch', 10**6, 'model.ch=1000000'),
        ('model.ch', True, 'model.ch=True'),
        ('model.ch', None, 'model.ch=None'),
        ('data.image_size', 10**6, 'data.image_size=1000000'),
        ('data.batch_size', 10**9, 'data.batch_size=1000000000'),
        ('data.workers', 10**6, 'data.workers=1000000'),
        ('model.rho_smoothing', 2.0, 'model.rho_smoothing=2.0'),
        ('optimizer.eps', 1e-60, 'optimizer.eps=1e-60'),
        ('optimizer.beta2', 0.99999999, 'optimizer.beta2=0.99999999'),
        ('training.steps', INT32 + 1, 'training.steps=2147483648'),
        ('training.profile_steps', '9' * 5000 + ':3', 'training.profile_steps='),
        ('model.mlp_pool', '9' * 5000, 'model.mlp_pool='),
        ('data.source', 'folder:a\nb', r"data.source='folder:a\nb'"),
        ('loss.cycle_weight', math.nan, 'loss.cycle_weight=nan'),
        ('model.chan', 3, 'model.chan is no field; hint: model.ch is'),
    ],
)
def test_slips_are_one_line_that_names_the_field(name, value, message):
    config = default_config()
    with config.ignore_type():
        config.update_from_flattened_dict({name: value})
    with pytest.raises(UserError) as error:
        resolve(config)
    assert message in str(error.value) and '\n' not in str(error.value) and len(str(error.value)) < 400


def test_a_config_that_lacks_a_field_is_refused():
    config = default_config()
    del config.model.ch
    with pytest.raises(UserError, match='there is no model.ch; a config begins as'):
        resolve(config)


def test_the_largest_run_in_images():
    assert works(**{'training.steps': INT32, 'optimizer.decay': 'constant'})
    assert not works(**{'training.steps': INT32, 'optimizer.decay': 'constant', 'data.batch_size': 3})


def test_the_limit_of_layers_is_the_deepest_that_fits_the_limit_of_sides():
    assert fits(SIDE, DEEPEST, (1, 2)) and not fits(SIDE, DEEPEST + 1, (1, 2))
