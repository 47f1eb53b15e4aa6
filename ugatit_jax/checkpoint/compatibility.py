"""Stored configs: as JSON, their differences, and whether a run may continue with another one."""

import json
from typing import Any

from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError, listed
from ugatit_jax.config import default
from ugatit_jax.config.fields import by_dotted_name, fields, validate_values
from ugatit_jax.config.resolve import fill_unset_fields

NAMED = 5  # differing fields that a refusal names

# Fields that may change when a run continues, beside all of `evaluation`: they change neither shapes of weights nor batches.
CHANGEABLE = (
    'init_from',  # acts at the start only, and a run that continues is past it
    'distill.teacher',  # its checksum has to stay
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
    'data.paired_test',  # of evaluations alone
    'data.data_dir',
    'data.download',
    'data.cache_mb',
    'data.cache_dir',
    'data.workers',
    'data.device_resident',
    'data.device_resident_mb',
)


def as_json(config: ConfigDict) -> dict[str, Any]:
    """A config as JSON keeps it: nested dicts, with lists for tuples."""
    return json.loads(config.to_json_best_effort())


def complete(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored config with the fields that are newer than it, at their defaults, which do as the code did without them.

    Raises UserError for values that no network or image can have: the checkpoint may be of others.
    """
    filled = as_json(default.get_config())
    for group, value in stored.items():
        filled[group] = filled.get(group, {}) | value if isinstance(value, dict) else value
    values = by_dotted_name(filled)
    validate_values({name: values.get(name) for name in fields() if name.startswith(('model.', 'data.'))})
    config = ConfigDict(filled)
    fill_unset_fields(config)
    return as_json(config)


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = '') -> dict[str, tuple[Any, Any]]:
    """Fields in which two configs differ: {'model.ch': (old, new)}, None for a field that one does not have."""
    result = {}
    for name in sorted(old.keys() | new.keys()):
        a, b = old.get(name), new.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            result |= differences(a, b, f'{prefix}{name}.')
        elif a != b:
            result[prefix + name] = (a, b)
    return result


def validate_same_run(old: dict[str, Any], new: dict[str, Any], where: str) -> None:
    """Raises UserError, naming fields, unless a run saved with config `old` can continue with `new`.

    where: the checkpoint. Of a converted one, whose config has `converted`, only those fields have to agree.
    """
    old = dict(old)
    converted = old.pop('converted', None)
    changed = {
        name: values
        for name, values in differences(old, new).items()
        if name not in CHANGEABLE and not name.startswith('evaluation') and (converted is None or name in converted)
    }
    if changed:
        fields = listed([f'{name} was {a!r}, is {b!r}' for name, (a, b) in changed.items()], NAMED)
        raise UserError(f'{where} was made by another run: {fields}; set them back, or take another --workdir')
