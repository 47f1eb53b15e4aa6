"""Stored configs: as JSON, what differs between two of them, and whether a run may be continued with another."""

import json
from typing import Any

from ml_collections import ConfigDict

from ugatit_jax.config import default
from ugatit_jax.config.resolve import fill
from ugatit_jax.errors import UserError

CHANGEABLE = (  # may differ, as all of `evaluation`, between a run and its continuation: they change neither the weights'
    # shapes nor the batches
    'init_from',  # it acts at the start only: what is continued has these weights already, trained on
    'training.steps',
    'training.log_every',
    'training.checkpoint_every',
    'training.keep_checkpoints',
    'training.keep_every',
    'training.keep_best',
    'training.preview_every',
    'training.preview_images',
    'training.scan_blocks',
    'training.profile_steps',
    'training.on_nan',
    'training.accumulate',
    'training.remat',
    'training.shard_params',
    'data.max_bad_fraction',
    'data.data_dir',
    'data.download',
    'data.cache_mb',
    'data.cache_dir',
    'data.workers',
    'data.device_resident',
    'data.device_resident_mb',
)


def as_json(config: ConfigDict) -> dict[str, Any]:
    """A config as what JSON keeps of it: nested dicts, tuples as lists."""
    return json.loads(config.to_json_best_effort())


def complete(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the fields that are younger than it; their defaults are what was done before them."""
    filled = as_json(default.get_config())
    for group, value in stored.items():
        filled[group] = filled.get(group, {}) | value if isinstance(value, dict) else value
    config = ConfigDict(filled)
    fill(config)
    return as_json(config)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = '') -> dict[str, tuple[Any, Any]]:
    """Fields of two configs that differ: {'model.ch': (old, new)}, None where one has no such field."""
    result = {}
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            result |= differences(a, b, f'{prefix}{name}.')
        elif a != b:
            result[prefix + name] = (a, b)
    return result


def validate_same_run(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """Raises UserError with the fields in which a run cannot be continued as configured."""
    old = dict(old)
    decided = old.pop('converted', None)
    changed = {
        name: values
        for name, values in differences(old, new).items()
        if name not in CHANGEABLE and not name.startswith('evaluation') and (decided is None or name in decided)
    }
    if changed:
        fields = ', '.join(f'{name} was {a!r}, is {b!r}' for name, (a, b) in changed.items())
        raise UserError(f'{where} was made by another run: {fields}; set them back, or take another --workdir')
