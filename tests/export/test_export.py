"""ugatit_jax.export: what it writes is read by everything that takes a checkpoint, and gives the same images."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

import ugatit_jax
from tests.helpers.image_files import smooth
from tests.helpers.translation import STEP, write_checkpoint
from ugatit_jax.checkpoint import model_folder
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.errors import UserError
from ugatit_jax.export.__main__ import main
from ugatit_jax.export.model_folder import export_folder
from ugatit_jax.translate.__main__ import main as translate

IMAGE = smooth(32, 32)


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'run')


@pytest.fixture(scope='module')
def folder(workdir, tmp_path_factory):
    to = tmp_path_factory.mktemp('to') / 'half'
    export_folder(str(workdir), str(to), dtype='float16', license='MIT')
    return to


def test_the_folder_gives_the_images_of_the_checkpoint(workdir, folder):
    for direction in ('a2b', 'b2a'):
        of_run, of_folder = (ugatit_jax.load(str(path), direction) for path in (workdir, folder))
        assert np.abs(of_run(IMAGE).astype(int) - of_folder(IMAGE)).max() <= 2
    assert of_folder.model == f'half step {of_run.loaded.step} ema'
    assert np.abs(of_folder.cycle(IMAGE).astype(int) - of_run.cycle(IMAGE)).max() <= 2


def test_averaged_weights_are_taken_unless_the_raw_ones_are_asked_for(workdir, tmp_path):
    stored = load_generators(str(workdir), weights='raw').generator
    assert main([f'--checkpoint={workdir}', f'--to={tmp_path / "raw"}', '--weights=raw', '--direction=B2A']) == 0
    loaded = load_generators(str(tmp_path / 'raw'))
    assert loaded.weights == 'raw' and list(loaded.generator) == ['genB2A']
    jax.tree.map(np.testing.assert_array_equal, loaded.generator['genB2A'], stored['genB2A'])
    with pytest.raises(UserError, match='has no genA2B, only genB2A'):
        ugatit_jax.load(str(tmp_path / 'raw'), 'a2b')


def test_float16_halves_the_files(workdir, folder, tmp_path):
    export_folder(str(workdir), str(tmp_path / 'whole'))
    whole, half = (safetensors.numpy.load_file(path / 'genA2B.safetensors') for path in (tmp_path / 'whole', folder))
    assert {value.dtype.name for value in whole.values()} == {'float32'}
    assert {value.dtype.name for value in half.values()} == {'float16'}
    for name, value in whole.items():
        np.testing.assert_array_equal(half[name], value.astype(np.float16))


def test_the_command_translates_with_it(folder, tmp_path):
    from PIL import Image

    (tmp_path / 'in').mkdir()
    Image.fromarray(IMAGE).save(tmp_path / 'in' / 'x.png')
    flags = [f'--checkpoint={folder}', f'--input={tmp_path / "in"}', f'--output={tmp_path / "out"}', '--direction=A2B']
    assert translate(flags) == 0
    result = np.asarray(Image.open(tmp_path / 'out' / 'x.png'))
    np.testing.assert_array_equal(result, ugatit_jax.load(str(folder), 'a2b')(IMAGE))


def test_a_shipped_model_is_known_by_its_name(folder, monkeypatch):
    monkeypatch.setattr(model_folder, 'SHIPPED', folder.parent)
    assert ugatit_jax.load('half').loaded.where == str(folder)
    with pytest.raises(UserError, match=r'neither .*, a model of the package \(half\) or'):
        ugatit_jax.load('third')
    with pytest.raises(UserError, match='neither'):
        ugatit_jax.load('../to/half')  # a path is from the current folder, never from that of the package


def write_neighbours(run: pathlib.Path, step: int) -> None:
    """An evaluation and a preview of `step`, and of a later one, in a folder."""
    (run / 'previews').mkdir(parents=True)
    rows = [{'step': step, 'kid_A2B': 0.0125, 'kid': 9.0}, {'step': step + 1, 'kid_A2B': 0.5}]
    (run / 'evaluation.jsonl').write_text('half a l\n' + ''.join(json.dumps(row) + '\n' for row in rows))
    for of_step in (step, step + 1):
        (run / 'previews' / f'{of_step:08d}.png').write_bytes(b'%d' % of_step)


def test_the_card_has_the_evaluation_and_the_preview_of_the_step(tmp_path):
    run = pathlib.Path(write_checkpoint(tmp_path / 'run'))
    write_neighbours(run, STEP)
    export_folder(str(run), str(tmp_path / 'out'))
    card = (tmp_path / 'out' / 'README.md').read_text()
    assert '| KID x 100 | 1.250 |  |' in card and '![real and translated images](preview.png)' in card
    assert (tmp_path / 'out' / 'preview.png').read_bytes() == b'%d' % STEP
    assert load_generators(f'{run}/checkpoints/{STEP}').workdir == str(run)


def test_a_model_folder_has_no_run_whatever_lies_above_it(folder, tmp_path):
    """Its evaluation and preview would be taken from where a checkpoint of a run has them, two folders up."""
    write_neighbours(tmp_path / 'run', STEP)
    model = tmp_path / 'run' / 'models' / 'half'
    shutil.copytree(folder, model)
    export_folder(str(model), str(tmp_path / 'out'))
    assert 'KID' not in (tmp_path / 'out' / 'README.md').read_text() and not (tmp_path / 'out' / 'preview.png').exists()
    loaded = load_generators(str(model))
    assert loaded.workdir is None and loaded.name == 'half'


def test_no_place_of_the_machine_is_passed_on(tmp_path):
    source = f'folder:{tmp_path}/secret/cats'
    workdir = write_checkpoint(tmp_path / 'run', data__source=source, data__cache_dir=f'{tmp_path}/cache')
    export_folder(workdir, str(tmp_path / 'out'))
    for name in ('config.json', 'README.md'):
        assert str(tmp_path) not in (tmp_path / 'out' / name).read_text()
    assert load_generators(str(tmp_path / 'out')).config.data.source == 'folder:cats'
    assert '`folder:cats`' in (tmp_path / 'out' / 'README.md').read_text()


def test_model_card(folder):
    card = (folder / 'README.md').read_text()
    assert card.startswith('---\nlicense: mit\nlibrary_name: ugatit_jax\npipeline_tag: image-to-image\n')
    assert '# half\n' in card and 'genA2B, genB2A, ema weights, float16' in card


def test_nothing_is_overwritten_and_nothing_half_written_stays(workdir, folder, tmp_path, capsys, monkeypatch):
    assert main([f'--checkpoint={workdir}', f'--to={folder}']) == 2
    assert 'exists already' in capsys.readouterr().err
    monkeypatch.setattr('ugatit_jax.export.model_folder.MAX_DIFFERENCE', {'float16': -1})
    assert main([f'--checkpoint={workdir}', f'--to={tmp_path / "x"}', '--dtype=float16']) == 2
    assert '--dtype=float32' in capsys.readouterr().err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('to', ['gs://bucket/model', 'hf://owner/model', 'gs://bucket/x.onnx', ''])
def test_a_place_that_is_no_local_one_is_refused_before_anything_is_written(to, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['--checkpoint=absent', f'--to={to}', '--direction=a2b']) == 2
    message = f'--to={to}: this command writes to this machine only' if to else '--to= is empty'
    assert message in (line := capsys.readouterr().err) and line.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def damaged(folder: pathlib.Path, to: pathlib.Path, **changes: object) -> str:
    """The error of loading a copy of `folder` with other entries in config.json, or other bytes in genA2B.safetensors."""
    to.mkdir()
    content = json.loads((folder / 'config.json').read_text())
    weights = (folder / 'genA2B.safetensors').read_bytes()
    weights = changes.pop('weights', weights)
    (to / 'genA2B.safetensors').write_bytes(weights)
    if 'sha256' in changes:
        content['generators']['genA2B']['sha256'] = changes.pop('sha256')
    (to / 'config.json').write_text(changes.pop('text', None) or json.dumps(content | changes))
    with pytest.raises(UserError) as raised:
        ugatit_jax.load(str(to), 'a2b')
    assert '\n' not in str(raised.value)
    return str(raised.value)


def test_damage_is_named(folder, tmp_path):
    import hashlib

    arrays = safetensors.numpy.load_file(folder / 'genA2B.safetensors')
    other = safetensors.numpy.save({name: value[..., :1] for name, value in arrays.items()})
    half = (folder / 'genA2B.safetensors').read_bytes()[:1000]
    sha = {content: hashlib.sha256(content).hexdigest() for content in (other, half)}
    assert 'SHA-256 differs' in damaged(folder, tmp_path / 'a', weights=other)
    assert 'of two models' in damaged(folder, tmp_path / 'b', weights=other, sha256=sha[other])
    assert 'cannot be read' in damaged(folder, tmp_path / 'c', weights=half, sha256=sha[half])
    assert 'not the config.json' in damaged(folder, tmp_path / 'd', text='{')
    assert 'not the config.json' in damaged(folder, tmp_path / 'e', text='[]')
    assert 'not the config.json' in damaged(folder, tmp_path / 'f', generators={})
    assert 'this version reads' in damaged(folder, tmp_path / 'g', format='ugatit_jax generators 9')


def test_a_file_name_cannot_leave_the_folder(folder, tmp_path):
    content = json.loads((folder / 'config.json').read_text())
    content['generators']['genA2B']['file'] = f'../{folder.name}/genA2B.safetensors'
    (tmp_path / 'x').mkdir()
    (tmp_path / 'x' / 'config.json').write_text(json.dumps(content))
    with pytest.raises(UserError, match='x/genA2B.safetensors cannot be read'):
        ugatit_jax.load(str(tmp_path / 'x'), 'a2b')


def test_steps_and_weights_that_it_does_not_have(folder):
    with pytest.raises(UserError, match='has no step 99'):
        ugatit_jax.load(str(folder), step=99)
    with pytest.raises(UserError, match='has no raw weights, only ema'):
        ugatit_jax.load(str(folder), weights='raw')
