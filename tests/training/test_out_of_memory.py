"""What an out of memory ends in."""

import jax
import pytest
from ml_collections import ConfigDict

from tests.helpers.small import small_config
from ugatit_jax.errors import UserError
from ugatit_jax.training import loop
from ugatit_jax.training.out_of_memory import explained


@pytest.mark.parametrize(
    'error',
    [
        jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 7516192768 bytes.'),
        MemoryError('Unable to allocate 8.00 GiB for an array'),
    ],
)
def test_out_of_memory_names_parts_and_settings(error, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(loop, 'open_datasets', fail)
    with pytest.raises(UserError) as raised:
        loop.train(ConfigDict(small_config()), str(tmp_path))
    first, parts, ways = str(raised.value).splitlines()
    assert 'out of memory' in first and str(error).partition(' ')[0] in first
    assert all(part in parts for part in ('weights', 'gradients', 'optimiser', 'activations'))
    assert ways.count(';') == 3 and 'training.remat=True' in ways


def test_other_errors_are_left_alone():
    with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'), explained(small_config()):
        raise jax.errors.JaxRuntimeError('INTERNAL: something else')
