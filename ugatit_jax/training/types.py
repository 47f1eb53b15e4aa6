"""Names for the dicts that the training code passes around."""

from typing import Any

import jax

Params = dict[str, Any]  # by network: nested dicts of arrays
Images = dict[str, jax.Array]  # by name, such as 'A' or 'fake_B': [B, h, w, C] in [-1, 1]
Weights = dict[str, Any]  # of losses, by name: scalars, see hyperparameters.py
Metrics = dict[str, jax.Array]  # by name: scalars
