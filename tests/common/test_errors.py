"""One-line forms of what goes into messages."""

import pytest

from ugatit_jax.common.errors import listed


@pytest.mark.parametrize(
    'items, line', [(['a'], 'a'), (['a', 'b'], 'a, b'), (['a', 'b', 'c'], 'a, b and 1 more'), ({'a': 0}.keys(), 'a')]
)
def test_lists_are_shortened_and_say_by_how_much(items, line):
    assert listed(items, 2) == line
