"""The command decides what becomes what, and overwrites nothing."""

import pytest

from tests.helpers.official_files import refusal, tree_of
from tests.helpers.torch_writer import write_zip
from ugatit_jax.checkpoint.model_folder import SHIPPED
from ugatit_jax.common.errors import UserError
from ugatit_jax.convert.__main__ import main
from ugatit_jax.convert.convert import convert


def test_the_command(arrays, tmp_path, capsys):
    write_zip(tmp_path / 'x.pt', tree_of(arrays))
    command = [f'--from={tmp_path}/x.pt', f'--to={tmp_path}/run']
    assert main([*command, '--image_size=32']) == 0
    assert 'PyTorch release, light model, ch 2' in capsys.readouterr().out
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'ugatit_jax: --to={tmp_path}/run exists already, and nothing is overwritten; name another'
    ]


@pytest.mark.parametrize('direction', ['B2A', 'b2a'])
def test_the_direction_is_taken_in_both_cases(direction, capsys, monkeypatch):
    monkeypatch.setattr('ugatit_jax.convert.convert.convert', lambda source, target, **options: [options['direction']])
    assert main(['--from=x', '--to=y', f'--direction={direction}']) == 0
    assert capsys.readouterr().out == 'B2A\n'


def test_an_official_file_becomes_nothing_but_a_new_folder(arrays, tmp_path):
    write_zip(x := tmp_path / 'x.pt', tree_of(arrays))
    before = x.read_bytes()
    assert 'exists already' in refusal(x, x)
    assert x.read_bytes() == before
    assert 'to a folder first' in refusal(x, tmp_path / 'y.pt')
    assert 'nothing: there is no such file' in refusal(tmp_path / 'nothing', tmp_path / 'y.pt')
    assert '.onnx is not written' in refusal(x, tmp_path / 'y.onnx')
    assert '--weights=ema is for a workdir' in refusal(x, tmp_path / 'run', weights='ema')


def test_a_workdir_becomes_nothing_but_a_file(workdirs, tmp_path):
    assert 'of this project already' in refusal(workdirs['paper'], tmp_path / 'x')
    assert '--image_size' in refusal(workdirs['paper'], tmp_path / 'x.pt', image_size=32)
    assert 'no averaged generators' in refusal(workdirs['paper'], tmp_path / 'x.pt', weights='ema')
    with pytest.raises(UserError, match='--to=gs://bucket/x.pt: this command writes to this machine only'):
        convert(str(workdirs['paper']), 'gs://bucket/x.pt')


def test_a_model_folder_is_refused(tmp_path):
    """Of the package, by its name, or by its path."""
    for source in ('emoji', f'{SHIPPED}/emoji'):
        for target in ('x.pt', 'x.safetensors', 'run'):
            assert 'is a model folder, whose .safetensors are for others' in refusal(source, tmp_path / target)


def test_no_target_is_not_the_folder_that_one_is_in(arrays, tmp_path, monkeypatch):
    """As with a shell variable that is not set."""
    write_zip(tmp_path / 'x.pt', tree_of(arrays))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='--to= exists already'):
        convert('x.pt', '', image_size=32)
    assert [path.name for path in tmp_path.iterdir()] == ['x.pt']


def test_a_folder_that_cannot_be_made(arrays, tmp_path):
    write_zip(x := tmp_path / 'x.pt', tree_of(arrays))
    message = refusal(x, x / 'run', image_size=32)
    assert message == f'--to={x}/run cannot be made: Not a directory; name a folder that can be written'
