"""The command ugatit_jax: its sub-commands are the modules' commands."""

import importlib
import subprocess
import sys

import pytest

import ugatit_jax
from tests.helpers.paths import ROOT
from ugatit_jax import __main__ as command


def test_help_names_every_command_and_where_it_is(capsys):
    for arguments in ([], ['--help'], ['help']):
        assert command.main(arguments) == 0
        text = capsys.readouterr().out
        assert all(f'  {name} ' in text for name in command.COMMANDS)
    assert command.main(['--version']) == 0
    assert capsys.readouterr().out == f'{ugatit_jax.__version__}\n'


def test_a_mistyped_command(capsys):
    assert command.main(['trian']) == 2
    assert capsys.readouterr().err == "ugatit_jax: 'trian' is not a command; is it train?\n"
    assert command.main(['9']) == 2
    assert 'one of train, translate' in capsys.readouterr().err


@pytest.mark.parametrize('name', command.COMMANDS)
def test_every_command_shows_its_help_under_its_name(name, capsys):
    module = command.COMMANDS[name][0]
    try:
        assert command.main([name, '--help']) == 0
    except SystemExit as left:  # of argparse
        assert left.code == 0
    assert f'python -m {module.removesuffix(".__main__")} ' in capsys.readouterr().out


def test_arguments_and_exit_codes_are_passed_on(tmp_path, capsys):
    assert command.main(['page', str(tmp_path / 'absent')]) == 2
    assert 'absent' in capsys.readouterr().err


def test_python_m_ugatit_jax():
    result = subprocess.run([sys.executable, '-m', 'ugatit_jax', 'nothing'], cwd=ROOT, text=True, capture_output=True)
    assert result.returncode == 2 and result.stderr.count('\n') == 1


def test_every_command_has_a_main_for_arguments():
    for module, _ in command.COMMANDS.values():
        assert importlib.import_module(module).main.__code__.co_varnames[0] == 'arguments'
