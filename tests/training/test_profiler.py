"""Traces of steps for TensorBoard."""

import jax
import jax.numpy as jnp
import pytest

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.derived import parse_profile_steps
from ugatit_jax.training.profiler import Profiler


@pytest.mark.parametrize('text', ['3', '0:2', '4:3', 'a:b', '2:11', '-1:2', ':'])
def test_steps_that_are_none_are_refused(text):
    with pytest.raises(UserError, match='profile_steps'):
        parse_profile_steps(text, 10)


def test_a_trace_of_the_steps_is_written_once_by_the_first_process(tmp_path, monkeypatch):
    assert parse_profile_steps('', 10) is None and parse_profile_steps('2:3', 10) == (2, 3)
    double, tracing = jax.jit(lambda x: 2 * x), []
    for index, name in enumerate(('first', 'second')):
        monkeypatch.setattr(jax, 'process_index', lambda index=index: index)
        profiler, x = Profiler((2, 3), str(tmp_path / name)), jnp.ones(4)
        for step in range(1, 6):
            profiler.before(step)
            tracing.append(profiler.tracing)
            x = double(x)
            profiler.after(step, x)
    assert tracing == [False, True, True, False, False] + 5 * [False]
    assert len(list((tmp_path / 'first' / 'plugins' / 'profile').glob('*/*.xplane.pb'))) == 1
    assert not (tmp_path / 'second').exists()
