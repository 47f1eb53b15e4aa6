"""What --help and --help-config print; settings with the comments of default.py."""

import inspect
import re
from typing import NamedTuple

from absl import flags

from ugatit_jax.config import default

USAGE = """Trains, continues or evaluates a run.

    python -m ugatit_jax.main --config=cat2dog --workdir=DIR [--config.FIELD=VALUE ...]
    python -m ugatit_jax.main --config=cat2dog --workdir=DIR --mode=eval [--step=best]
    python -m ugatit_jax.main --config=distill:TEACHER --workdir=DIR     a small student of a trained model
"""
FIELD = re.compile(r'    (?:config\.)?(\w+(?:\.\w+)?) = (?!\w+ = config_dict)(\S.*?)  # (.+)')
MOST_USED = (
    'data.source',
    'data.image_size',
    'data.batch_size',
    'model.mlp_pool',
    'model.ch',
    'training.steps',
    'training.checkpoint_every',
    'training.preview_every',
    'training.ema_decay',
    'training.compute_dtype',
    'training.remat',
    'evaluation.every',
    'init_from',
)


class FieldHelp(NamedTuple):
    """A setting."""

    name: str  # 'data.source'
    default: str  # as Python writes it; 'unset' for placeholders
    reason: str


def field_helps() -> list[FieldHelp]:
    """Every setting in the order of default.py."""
    found = [FIELD.fullmatch(line) for line in inspect.getsource(default.get_config).splitlines()]
    return [
        FieldHelp(m[1], 'unset' if m[2].startswith('placeholder(') else m[2].strip("'") or "''", m[3]) for m in found if m
    ]


def describe_fields(names: tuple[str, ...] | None = None) -> str:
    """Lines '--config.NAME=DEFAULT  reason' of settings, by default of all."""
    helps = [field for field in field_helps() if names is None or field.name in names]
    width = min(max(len(field.name) + len(field.default) for field in helps) + len('--config.='), 46)
    return '\n'.join(f'  {f"--config.{field.name}={field.default}":{width}}  {field.reason}' for field in helps)


def help_text(arguments: list[str], names: tuple[str, ...]) -> str:
    """What --help (-h, --helpfull) and --help-config print, '' without one of them; names: of the flags."""
    asked = {argument.lstrip('-').replace('_', '-') for argument in arguments if argument.startswith('-')}
    if 'help-config' in asked:
        return f'Every setting with its default and the reason for it:\n\n{describe_fields()}'
    if not asked & {'h', 'help', 'helpfull', 'helpshort'}:
        return ''
    listed = '\n'.join(f'  --{name:20} {flags.FLAGS[name].help}' for name in names)
    return (
        f'{USAGE}\nflags:\n{listed}\n\nthe most used settings, with their defaults (a file of settings changes some, the '
        f'command line any):\n{describe_fields(MOST_USED)}\n\nall settings: --help-config'
    )
