"""--help and --help-config: every setting with its default and reason, the flags, and exit code 0."""

import pytest
from flax.traverse_util import flatten_dict

from ugatit_jax import main
from ugatit_jax.config import default
from ugatit_jax.config.help import MOST_USED, field_helps


def test_every_field_is_listed_with_its_default_and_a_reason():
    fields = flatten_dict(default.get_config().to_dict(), sep='.')
    helps = {field.name: field for field in field_helps()}
    assert helps.keys() == fields.keys() and set(MOST_USED) < set(helps)
    for name, field in helps.items():
        value = fields[name]
        shown = 'unset' if value is None else str(value) or "''"
        assert field.default.replace('_', '') == shown.replace('_', '') or float(field.default) == value, name
        assert len(field.reason) > 3 and field.reason[-1] not in ',;', name


@pytest.mark.parametrize('flag', ['--help', '-h', '--helpfull'])
def test_help(flag, capsys):
    assert main.main([flag]) == 0
    text = capsys.readouterr().out
    for name in main.FLAGS:
        assert f'\n  --{name} ' in text
    assert '--config.data.source=synthetic:faces' in text and 'augment.flip' not in text and '--help-config' in text


def test_help_config(capsys):
    assert main.main(['--config=absent', '--help-config']) == 0
    text = capsys.readouterr().out
    assert '--config.augment.flip=0.5 ' in text and '--config.data.workers=unset ' in text
