"""ugatit_jax.export --to=FILE: what is written gives the images of the Translator, and what would not is refused."""

import os
import pathlib

import numpy as np
import onnxruntime
import pytest

import ugatit_jax
from tests.helpers.image_files import make_folder, smooth
from tests.helpers.translation import write_checkpoint
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import denormalize, normalize
from ugatit_jax.export import onnx_file, single_file
from ugatit_jax.export.__main__ import main
from ugatit_jax.export.formats import suffix_of
from ugatit_jax.export.sample_images import sample_images
from ugatit_jax.export.single_file import export_file

IMAGES = np.stack([smooth(16, 16, seed) for seed in range(3)])


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp('w') / 'run', data__source='emoji')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return str(make_folder(tmp_path_factory.mktemp('i'), {'images': 6}) / 'images')


def run_onnx(path: pathlib.Path, images: np.ndarray) -> np.ndarray:
    """What the file makes of uint8 images [n, h, w, 3], uint8."""
    session = onnxruntime.InferenceSession(path)
    out = session.run(['translated'], {'image': normalize(images).transpose(0, 3, 1, 2)})[0]
    return denormalize(out.transpose(0, 2, 3, 1))


@pytest.mark.parametrize('direction', ['a2b', 'B2A'])
def test_a_file_gives_the_images_of_the_translator(workdir, tmp_path, capsys, direction):
    to = tmp_path / 'new' / 'x.onnx'
    assert main([f'--checkpoint={workdir}', f'--to={to}', f'--direction={direction}']) == 0
    printed = capsys.readouterr().out
    assert 'image [batch, 3, height, width] -> translated [batch, 3, height, width], float32 in [-1, 1]' in printed
    assert 'largest difference from JAX on 4 test images of emoji: ' in printed and ' of 255' in printed
    translator = ugatit_jax.load(workdir, direction)
    assert np.abs(run_onnx(to, IMAGES).astype(int) - translator(IMAGES)).max() <= 1
    wide = smooth(24, 40)
    assert np.abs(run_onnx(to, wide[None])[0].astype(int) - translator(wide, size='original')).max() <= 1
    assert os.listdir(to.parent) == ['x.onnx']


def test_quantised_files_are_smaller_and_say_what_it_costs(workdir, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(single_file, 'MIN_PSNR', 10.0)  # random weights
    sizes, lines = {}, {}
    for dtype in ('float32', 'float16', 'int8'):
        to = tmp_path / f'{dtype}.onnx'
        lines[dtype] = export_file(workdir, str(to), direction='a2b', dtype=dtype, images=folder)[-1]
        sizes[dtype] = to.stat().st_size
    assert sizes['float16'] < sizes['float32']
    assert '4 images of ' in lines['int8'] and 'PSNR ' in lines['int8'] and ' dB' in lines['int8']
    int8 = onnx_file.onnx.load(tmp_path / 'int8.onnx').graph
    inputs = {name: node for node in int8.node for name in node.output}
    convolutions = [node for node in int8.node if node.op_type == 'Conv']
    assert len(convolutions) > 5
    for node in convolutions:
        assert [inputs[name].op_type for name in node.input[:2]] == ['DequantizeLinear'] * 2
    a, b = (run_onnx(tmp_path / f'{dtype}.onnx', IMAGES) for dtype in ('int8', 'float32'))
    assert 0 < np.abs(a.astype(int) - b).mean() < 40


def test_a_fixed_size_and_batch(workdir, tmp_path):
    to = str(tmp_path / 'x.onnx')
    lines = export_file(workdir, to, direction='a2b', size='20', batch='3')
    assert 'image [3, 3, 20, 20]' in lines[1]
    images = np.stack([smooth(20, 20, seed) for seed in range(3)])
    assert np.abs(run_onnx(to, images).astype(int) - ugatit_jax.load(workdir)(images, size=20)).max() <= 1


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'int8'])
def test_a_file_that_differs_is_refused_and_nothing_is_left(workdir, folder, tmp_path, monkeypatch, dtype):
    """One bias of the head is wrong in the file."""
    write = onnx_file.generator_model

    def wrong(generator, params, **options):
        head = params['head'] | {'bias': params['head']['bias'] + np.array([0, 1, 0], np.float32)}
        return write(generator, params | {'head': head}, **options)

    monkeypatch.setattr(onnx_file, 'generator_model', wrong)
    with pytest.raises(UserError, match=rf'--dtype={dtype} of .* is refused: largest difference') as raised:
        export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b', dtype=dtype, images=folder)
    assert '\n' not in str(raised.value) and os.listdir(tmp_path) == []


def test_nan_is_refused(workdir, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, 'load', lambda path: lambda images: images * np.nan)
    with pytest.raises(UserError, match='is refused'):
        export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b')
    assert os.listdir(tmp_path) == []


def test_files_are_replaced_only_when_asked(workdir, tmp_path, capsys):
    to = tmp_path / 'x.onnx'
    to.write_text('mine')
    flags = [f'--checkpoint={workdir}', f'--to={to}', '--direction=a2b', '--size=16']
    assert main(flags) == 2 and '--overwrite' in capsys.readouterr().err
    assert to.read_text() == 'mine'
    assert main([*flags, '--overwrite']) == 0
    assert run_onnx(to, IMAGES[:1]).shape == (1, 16, 16, 3)


def test_flags_that_do_not_work_are_one_line(workdir, folder, tmp_path, capsys, monkeypatch):
    def error(to: str, *flags: str, checkpoint: str = workdir) -> str:
        assert main([f'--checkpoint={checkpoint}', f'--to={tmp_path / to}', *flags]) == 2
        line = capsys.readouterr().err
        assert line.startswith('ugatit_jax: ') and line.count('\n') == 1
        return line

    assert 'the suffix .gguf is none of .onnx' in error('x.gguf', '--direction=a2b')
    assert 'holds one generator; add --direction=a2b' in error('x.onnx')
    assert '--size=18: it is any, or a multiple of 4' in error('x.onnx', '--direction=a2b', '--size=18')
    assert '--batch=0: it is any' in error('x.onnx', '--direction=a2b', '--batch=0')
    assert '--license is for folders' in error('x.onnx', '--direction=a2b', '--license=mit')
    assert '--size is for files' in error('x', '--size=32')
    assert 'files such as x.onnx can be int8' in error('x', '--dtype=int8')
    assert 'no such file or folder' in error('x.onnx', '--direction=a2b', f'--images={tmp_path}/none')
    (tmp_path / 'notes.png').write_text('none')
    assert 'the first is not an image but text' in error('x.onnx', '--direction=a2b', f'--images={tmp_path}/notes.png')
    (tmp_path / 'd.onnx').mkdir()
    assert 'is a folder; name a file' in error('d.onnx', '--direction=a2b', '--overwrite')
    monkeypatch.setattr(single_file, 'is_installed', lambda module: module != 'onnxruntime')
    assert '.onnx files need onnxruntime; hint: pip install -e .[onnx]' in error('x.onnx', '--direction=a2b')
    assert sorted(os.listdir(tmp_path)) == ['d.onnx', 'notes.png']


def test_full_models_keep_their_size(tmp_path):
    workdir = write_checkpoint(tmp_path / 'full', model__mlp_pool='full')
    for size in ('any', '32'):
        with pytest.raises(UserError, match='tied to 16x16 pixels'):
            export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b', size=size)
    assert 'image [batch, 3, 16, 16]' in export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b')[1]


def test_noise_is_called_so_and_calibrates_nothing(tmp_path):
    workdir = write_checkpoint(tmp_path / 'run', data__source=f'folder:{tmp_path}/gone')
    assert (
        'on noise, as the data of training is not here' in export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b')[2]
    )
    with pytest.raises(UserError, match='add --images=DIR'):
        export_file(workdir, str(tmp_path / 'y.onnx'), direction='a2b', dtype='int8')


def test_suffixes():
    assert suffix_of('a/x.ONNX') == '.onnx'
    assert suffix_of('models/v1.2') == suffix_of('models/x.y/') == suffix_of('models') == ''
    with pytest.raises(UserError, match='.safetensors is none of .onnx'):
        suffix_of('x.safetensors')


def test_images_to_calibrate_are_not_those_to_compare(workdir, folder):
    from ugatit_jax.checkpoint.generators import load_generators

    config = load_generators(workdir).config
    for images in (sample_images(config, 'a2b', 16), sample_images(config, 'b2a', 16, folder)):
        assert len(images.compared) == 4 and images.calibration.shape[1:] == (16, 16, 3)
        for image in images.calibration:
            assert not (images.compared == image).all(axis=(1, 2, 3)).any()


def test_a_file_that_does_not_run_is_refused_and_nothing_is_left(workdir, folder, tmp_path, monkeypatch):
    def load(path):
        def run(images):
            raise RuntimeError('div.cc:262 data[i] != zero_point was not true\nmore')

        return run

    monkeypatch.setattr(onnx_file, 'load', load)
    with pytest.raises(UserError, match=r'--dtype=int8 of .* is refused: .*div.cc:262.*; take --dtype=float16$') as refused:
        export_file(workdir, str(tmp_path / 'x.onnx'), direction='a2b', dtype='int8', images=folder)
    assert '\n' not in str(refused.value) and os.listdir(tmp_path) == []
