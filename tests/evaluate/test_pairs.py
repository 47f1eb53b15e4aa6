"""True pairs are found by equal names, and by nothing else."""

import pytest

from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate.pairs import pair_by_name, require_pairs


def test_equal_names_are_pairs_whatever_their_order_and_extension():
    assert pair_by_name(['x/a.png', 'b.c.png', 'd.png'], ['d.jpg', 'x/a.webp', 'b.c.png']) == [1, 2, 0]


@pytest.mark.parametrize(
    'keys, others, message',
    [
        (['a.png', 'b.png'], ['a.png', 'c.png'], "A are 2 and B are 2; 'b' is in A alone"),
        (['a.png'], ['a.png', 'b.png'], "A are 1 and B are 2; 'b' is in B alone"),
        (['a.png', 'b.png'], ['a.png'], "A are 2 and B are 1; 'b' is in A alone"),
        (['a.png', 'a.jpg'], ['a.png', 'a.jpg'], "A are 2 and B are 2; 'a' is twice in A"),
        (['a.png', 'b.png'], ['a.png', 'a.jpg'], "'a' is twice in B"),
        (['x/a.png'], ['y/a.png'], "'x/a' is in A alone"),
        (['testA[0]'], ['testB[0]'], "'testA[0]' is in A alone"),  # as prepared sets and TFDS name them
    ],
)
def test_unequal_names_are_no_pairs(keys, others, message):
    assert pair_by_name(keys, others) is None
    with pytest.raises(UserError) as error:
        require_pairs(keys, others, '--flag', ('A', 'B'))
    assert message in str(error.value) and str(error.value).startswith('--flag needs') and '\n' not in str(error.value)
