"""The training loop with a step that only counts, for tests of what is around the step."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from ml_collections import FrozenConfigDict
from PIL import Image

from tests.helpers.small import small_config
from ugatit_jax.training import loop


def fake_step(monkeypatch: pytest.MonkeyPatch, bad_step: int = 10**9, bad_keys: list[list[int]] = ()) -> None:
    """In place of the compiled step: one that only counts, and at bad_step gives NaN to runs with one of the keys."""

    @jax.jit
    def step(state, batch, hyperparameters):
        known = jnp.any(jnp.all(jnp.asarray(bad_keys, jnp.uint32) == state.key, axis=-1)) if bad_keys else True
        bad = (state.step >= bad_step - 1) & known
        state = state.replace(step=state.step + 1)
        return state, {'D_A': jnp.where(bad, jnp.nan, 1.0), **dict.fromkeys(('D_B', 'G_A', 'G_B'), jnp.ones(()))}

    monkeypatch.setattr(loop, 'open_inputs', lambda *_: lambda first: itertools.repeat(jnp.zeros(())))
    monkeypatch.setattr(loop, 'compile_step', lambda *_: (step, ['D_A', 'D_B', 'G_A', 'G_B']))
    monkeypatch.setattr(loop.memory, 'log_memory', lambda *_: None)
    monkeypatch.setattr(loop.preview, 'draw', lambda *_: Image.new('RGB', (8, 8)))


def loop_config(**fields: object) -> FrozenConfigDict:
    """Twelve steps, logged every third, saved every fourth, not evaluated."""
    usual = {'steps': 12, 'log_every': 3, 'checkpoint_every': 4, 'preview_every': 10**6, 'preview_images': 1}
    usual = {f'training__{name}': value for name, value in usual.items()}
    return small_config(**usual | {'evaluation__every': 0} | fields)
