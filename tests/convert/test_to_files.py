"""Workdirs of ours become files for others, and the PyTorch release's come back, bit for bit."""

import json

import jax
import numpy as np
import pytest

from tests.helpers.official_files import golden_of, refusal, tree_of
from tests.helpers.paths import REFERENCE, ROOT
from tests.helpers.small import small_config
from tests.helpers.torch_writer import write_legacy
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.convert.convert import convert
from ugatit_jax.convert.to_files import load_networks, official_arrays


def test_safetensors(workdirs, tmp_path):
    numpy = pytest.importorskip('safetensors.numpy')
    for reference, run in workdirs.items():
        convert(run, str(tmp_path / f'{reference}.safetensors'))
    raw, paper = (numpy.load_file(tmp_path / f'{name}.safetensors') for name in ('pytorch', 'paper'))
    arrays = official_arrays(load_networks(workdirs['pytorch']))
    expected = {name.replace('/', '.'): value for name, value in arrays.items()}
    assert raw.keys() == expected.keys() and 'disGA.model.1.weight_v' in raw
    for name, value in expected.items():
        np.testing.assert_array_equal(raw[name], value, err_msg=name)
    ours = load_networks(workdirs['paper'] + '/checkpoints/0')
    np.testing.assert_array_equal(
        paper['genA2B.encoder_0.conv_1.kernel'], ours.params['genA2B']['encoder']['conv_1']['kernel'][0]
    )
    np.testing.assert_array_equal(paper['spectral.disLB.logit.u'], ours.spectral['disLB']['logit']['u'])
    header = (tmp_path / 'paper.safetensors').read_bytes()
    length = int.from_bytes(header[:8], 'little')
    metadata = json.loads(header[8 : 8 + length])['__metadata__']
    assert json.loads(metadata['config'])['model']['reference'] == 'paper' and metadata['names'] == 'ugatit_jax'
    convert(workdirs['pytorch'], str(tmp_path / 'ema.safetensors'), weights='ema')
    ema = numpy.load_file(tmp_path / 'ema.safetensors')
    for name, value in raw.items():
        np.testing.assert_array_equal(ema[name], value + 1 if name.startswith('gen') else value, err_msg=name)


@pytest.mark.parametrize('source', ['embedded', 'pytorch_full.pt'])
def test_back_to_a_file_of_torch_is_the_first_one(source, tmp_path):
    torch = pytest.importorskip('torch')
    path = REFERENCE / source
    if source == 'embedded':
        golden = golden_of(ROOT / 'tests/golden_data/pytorch_light.npz')
        write_legacy(path := tmp_path / 'first.pt', tree_of(golden.below('init/')))
    elif not path.exists():
        pytest.skip(f'{source} is not beside this checkout')
    convert(str(path), str(tmp_path / 'run'))
    convert(str(tmp_path / 'run'), str(tmp_path / 'x.pt'))
    convert(str(tmp_path / 'x.pt'), str(tmp_path / 'again'))
    first, back = torch.load(path), torch.load(tmp_path / 'x.pt')
    assert list(back) == ['genA2B', 'genB2A', 'disGA', 'disGB', 'disLA', 'disLB'] and set(first) == set(back)
    for network, weights in first.items():
        assert weights.keys() == back[network].keys()
        for name, value in weights.items():
            assert value.dtype == back[network][name].dtype and torch.equal(value, back[network][name]), name
    ours, again = (load_networks(str(tmp_path / name)) for name in ('run', 'again'))
    jax.tree.map(np.testing.assert_array_equal, (ours.params, ours.spectral), (again.params, again.spectral))


def test_a_model_that_the_pytorch_release_does_not_have_is_refused(workdirs, tmp_path):
    message = refusal(workdirs['paper'], tmp_path / 'x.pt')
    assert 'model.cam_shared=True (there False)' in message and 'safetensors' in message
    assert 'model.n_layers_global=4 (there 7)' in refusal(workdirs['pytorch'], tmp_path / 'x.pt')


def test_no_ablation_of_the_model_becomes_a_file_of_the_pytorch_release(tmp_path):
    """And none is needed: its networks are written under our own names. Weights are single numbers here."""
    config = small_config(
        model__reference='pytorch',
        model__generator_cam=False,
        model__discriminator_cam=False,
        model__spectral_norm=False,
        model__up_norm='in',
        loss__cam_weight=0.0,
    )
    checkpoints = Checkpoints(str(tmp_path / 'run'))
    generator = {name: {'stem': {'kernel': np.ones(2, np.float32)}} for name in ('genA2B', 'genB2A')}
    discriminator = {name: {'logit': {'kernel': np.ones(3, np.float32)}} for name in ('disGA', 'disLA', 'disGB', 'disLB')}
    checkpoints.write(
        1,
        as_json(config),
        generators={'raw': generator, 'ema': {}},
        training={'discriminator': discriminator, 'spectral': {name: {} for name in discriminator}},
    )
    checkpoints.close()
    line = refusal(tmp_path / 'run', tmp_path / 'x.pt')
    for text in (
        'model.up_norm=in (there lin)',
        'model.generator_cam=False (there True)',
        'model.discriminator_cam=False (there True)',
        'model.spectral_norm=False (there True)',
    ):
        assert text in line
    numpy = pytest.importorskip('safetensors.numpy')
    convert(str(tmp_path / 'run'), str(tmp_path / 'x.safetensors'))
    names = [f'{name}.stem.kernel' for name in generator] + [f'{name}.logit.kernel' for name in discriminator]
    assert sorted(numpy.load_file(tmp_path / 'x.safetensors')) == sorted(names)


def test_a_target_that_cannot_be_written_is_one_line_and_leaves_nothing(workdirs, tmp_path):
    pytest.importorskip('safetensors.numpy')
    (tmp_path / 'file').write_text('')
    message = refusal(workdirs['paper'], tmp_path / 'file' / 'x.safetensors')
    assert message.startswith(f'--to={tmp_path}/file/x.safetensors cannot be written: ')
