"""The settings on the page of a run: its config beside the defaults."""

import json
import logging
from typing import Any

from etils import epath

from ugatit_jax.checkpoint.compatibility import as_json, differences
from ugatit_jax.common.errors import UserError
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve

logger = logging.getLogger(__name__)


def recorded_config(workdir: str, events: list[dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """The config of the last start in history.jsonl and 0, or that of the newest checkpoint and its step, or {} and 0."""
    for event in reversed(events):
        if isinstance(event.get('config'), dict):
            return event['config'], 0
    if not (epath.Path(workdir) / 'checkpoints').exists():
        return {}, 0
    from ugatit_jax.checkpoint.checkpoints import Checkpoints  # here: most pages need no Orbax

    checkpoints = Checkpoints(workdir)
    try:
        latest = checkpoints.latest()
        return ({}, 0) if latest is None else (checkpoints.read_config(latest), latest)
    except UserError as error:
        logger.warning('the page has no settings: %s', error)
        return {}, 0
    finally:
        checkpoints.close()


def default_config(config: dict[str, Any]) -> dict[str, Any]:
    """The default config, resolved as for a run of config's model.reference, as nested dicts."""
    plain = default.get_config()
    if (reference := config.get('model', {}).get('reference')) is not None:
        plain.model.reference = reference
    resolved = as_json(resolve(plain))
    resolved['model']['reference'] = default.get_config().model.reference
    return resolved


def changed_fields(config: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Fields that differ from the default: {'model.ch': (default, value)}."""
    return differences(default_config(config), config)


def settings_table(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A table for each group: [{'name', 'rows': [{'name', 'value', 'changed', 'default'}], 'rows_count'}]."""
    if not config:
        return []
    changed = changed_fields(config)
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, value in config.items():
        fields = value.items() if isinstance(value, dict) else [(name, value)]
        for field, setting in fields:
            key = f'{name}.{field}' if isinstance(value, dict) else name
            groups.setdefault(name if isinstance(value, dict) else 'run', []).append(
                {
                    'name': field,
                    'value': setting if setting and isinstance(setting, str) else json.dumps(setting),
                    'changed': key in changed,
                    'default': json.dumps(changed[key][0]) if key in changed else '',
                }
            )
    return [{'name': name, 'rows': rows, 'rows_count': len(rows)} for name, rows in groups.items()]
