"""Which images the page shows."""

import numpy as np

from ugatit_jax.evaluate.galleries import EXAMPLES, RANKED, gallery_indices


def test_galleries_have_the_best_first_and_no_image_twice():
    chosen = gallery_indices(np.arange(20)[::-1])
    assert chosen == {'examples': [0, 3, 6, 10, 13, 16], 'best': [19, 18, 17, 16], 'worst': [0, 1, 2, 3]}
    assert len(chosen['examples']) == EXAMPLES and len(chosen['best']) == RANKED
    assert gallery_indices(np.array([1, 2, 0])) == {'examples': [0, 1, 2], 'best': [1], 'worst': [0]}
