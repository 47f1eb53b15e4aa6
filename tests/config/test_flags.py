"""Mistakes on the command line are one line each."""

import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from tests.helpers.paths import ROOT
from ugatit_jax import main  # noqa: F401 (defines the flags)
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.flags import parse_flags


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
        (['--config=configs/demo.py', '--config.model.chan=3'], 'config: model.chan is no field; hint: model.ch is'),
        (['--config=configs/demo.py', '--config.training.batch_size=3'], 'is no field; hint: data.batch_size is'),
        (['--config=configs/demo.py', '--config.modle.ch=3'], 'config: modle.ch is no field; hint: model.ch is'),
        (['--config=configs/demo.py', '--config.model=3'], 'config: model is no field; hint: model.reference is'),
        (['--config=configs/demo.py', '--config.qqqq', '3'], 'config: qqqq is no field; hint: --help-config lists all'),
        (['--config=configs/demo.py', '--config.model.ch=many'], 'many'),
        (['--config=configs/demo.py', '--config.data.background[0]=7'], 'data.background[0]'),
        (['--config=demo:gn'], 'demo.py: get_config() takes 0 positional arguments but 1 was given; what follows the colon'),
        (['--config=configs/demo.py', '--stap=3'], "Unknown command line flag 'stap'"),
        (['--config=configs/demo.py', '--mode=test'], 'mode'),
    ],
)
def test_a_mistake_is_one_line(parse, arguments, message):
    with pytest.raises(UserError) as error:
        parse(*arguments)
    assert message in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('name', ['demo', 'configs/demo.py'])
def test_configs_of_the_project_are_found_from_any_folder(parse, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    parse(f'--config={name}', '--config.seed=3')
    assert flags.FLAGS.config.model.ch == 12 and flags.FLAGS.config.seed == 3


def test_an_argument_of_a_config_found_by_name(parse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse('--config', 'ablation:gn,demo')
    assert flags.FLAGS.config.model.decoder_norm == 'gn' and flags.FLAGS.config.model.ch == 12


OWN = 'from ugatit_jax.config import default\ndef get_config():\n    config = default.get_config()\n'


def test_a_config_of_your_own_in_any_folder(parse, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'demo.py').write_text(f'{OWN}    config.model.ch = 7\n    return config\n')
    parse('--config=demo.py')
    assert flags.FLAGS.config.model.ch == 7


@pytest.mark.parametrize(
    'content, message',
    [
        (f'{OWN}    config.model.ch = "x"\n', '/own.py:4: TypeError: Could not override'),
        ('def get_config(:\n', '/own.py:1: SyntaxError'),
        ('import nowhere_at_all\n', "/own.py:1: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ('from configs import nowhere\n', 'from ugatit_jax.config import default works from any folder'),
        ('1 / 0\n', '/own.py:1: ZeroDivisionError'),
        (f'{OWN}    config.seed = 1\n', '/own.py: get_config() returns NoneType, no ConfigDict; hint: return config'),
        ('def get_config():\n    return {}\n', '/own.py: get_config() returns dict, no ConfigDict'),
        ('seed = 1\n', '/own.py: there is no get_config() in it'),
    ],
)
def test_a_mistake_in_a_config_file_is_one_line_with_its_place(parse, tmp_path, monkeypatch, content, message):
    monkeypatch.setattr(sys, 'path', [path for path in sys.path if path not in ('', '.', str(ROOT))])
    for name in ('configs', 'config_config'):  # the second is the file before, as ml_collections calls it
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / 'own.py').write_text(content)
    with pytest.raises(UserError) as error:
        parse(f'--config={tmp_path}/own.py')
    assert message in str(error.value) and '\n' not in str(error.value) and len(str(error.value)) < 500


def test_flags_are_set_and_other_arguments_are_returned(parse):
    left = parse('--config=configs/ablation.py:gn,demo', '--config.model.ch=16', '--workdir=runs/x', 'other')
    assert left == ['main', 'other']
    assert flags.FLAGS.config.model.decoder_norm == 'gn' and flags.FLAGS.config.model.ch == 16
    assert flags.FLAGS.workdir == 'runs/x'
