"""Mistakes on the command line are one line each."""

import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from ugatit_jax import main  # noqa: F401 (defines the flags)
from ugatit_jax.config.flags import parse_flags
from ugatit_jax.errors import UserError


@pytest.fixture
def parse(monkeypatch):
    """parse_flags of a command line, without a trace in later tests; ml_collections reads --config.FIELD off sys.argv."""

    def parse_line(*arguments):
        monkeypatch.setattr(sys, 'argv', ['main', *arguments])
        return parse_flags(sys.argv)

    with flagsaver.flagsaver():
        yield parse_line


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--config=configs/dem.py'], '--config=configs/dem.py: there is no file configs/dem.py; those of this project'),
        (['--config', 'configs/dem.py'], '--config=configs/dem.py: there is no file configs/dem.py'),
        (['--config=configs/demo.py', '--config.model.chan=3'], 'chan'),
        (['--config=configs/demo.py', '--config.model.ch=many'], 'many'),
        (['--config=configs/demo.py', '--stap=3'], "Unknown command line flag 'stap'"),
        (['--config=configs/demo.py', '--mode=test'], 'mode'),
    ],
)
def test_a_mistake_is_one_line(parse, arguments, message):
    with pytest.raises(UserError) as error:
        parse(*arguments)
    assert message in str(error.value) and '\n' not in str(error.value)


def test_flags_are_set_and_other_arguments_are_returned(parse):
    left = parse('--config=configs/ablation.py:gn,demo', '--config.model.ch=16', '--workdir=runs/x', 'other')
    assert left == ['main', 'other']
    assert flags.FLAGS.config.model.decoder_norm == 'gn' and flags.FLAGS.config.model.ch == 16
    assert flags.FLAGS.workdir == 'runs/x'
