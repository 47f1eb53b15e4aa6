"""Which images the page of an evaluation shows: examples, the best, and the worst."""

from typing import NamedTuple

import numpy as np

from ugatit_jax.data.datasets import evenly_spaced_indices

EXAMPLES = 6  # rows, evenly spaced over the images: an overview that fits on a screen
RANKED = 4  # rows of the best and of the worst each


class Row(NamedTuple):
    """The images of one example, uint8 [h, w, 3] by column, and the caption beside them."""

    images: dict[str, np.ndarray]
    caption: str


def gallery_indices(ranking: np.ndarray) -> dict[str, list[int]]:
    """Indices of 'examples', 'best' and 'worst', given all indices [n] from best to worst."""
    ranked = min(RANKED, len(ranking) // 2)
    return {
        'examples': evenly_spaced_indices(len(ranking), EXAMPLES),
        'best': ranking[:ranked].tolist(),
        'worst': ranking[::-1][:ranked].tolist(),
    }
