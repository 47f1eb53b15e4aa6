"""Official checkpoints become ours and come back, bit for bit; what cannot is refused in one line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from tests.conftest import REFERENCE, ROOT
from tests.helpers.goldens import assert_close
from tests.helpers.official_files import (
    STEP,
    golden_of,
    make_own_runs,
    official_of,
    refused,
    restored,
    small,
    tree_of,
    with_slots,
    write_tensorflow,
)
from tests.helpers.torch_writer import write_legacy, write_zip
from tests.training.test_goldens import outputs_of
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert import convert, official_names, read_official
from ugatit_jax.convert.__main__ import main
from ugatit_jax.errors import UserError
from ugatit_jax.models.networks import GENERATORS, make_networks
from ugatit_jax.models.spectral_norm import advance
from ugatit_jax.sharding import StateSharding, make_mesh
from ugatit_jax.training.loop import train
from ugatit_jax.training.state import from_items, init_state, to_items

GOLDENS = {  # name: (numbers, official checkpoint; None where the test writes it)
    'embedded pytorch': (ROOT / 'tests/golden_data/pytorch_light.npz', None),
    'embedded tensorflow': (ROOT / 'tests/golden_data/tensorflow_light.npz', None),
    'pytorch light': (REFERENCE / 'pytorch_light.npz', REFERENCE / 'pytorch_light.pt'),
    'pytorch full': (REFERENCE / 'pytorch_full.npz', REFERENCE / 'pytorch_full.pt'),
    'tensorflow light': (REFERENCE / 'tensorflow_light.npz', REFERENCE / 'tensorflow_light_ckpt'),
    'tensorflow full': (REFERENCE / 'tensorflow_full.npz', REFERENCE / 'tensorflow_full_ckpt'),
}


@pytest.fixture(scope='module')
def own_runs(tmp_path_factory):
    return make_own_runs(tmp_path_factory.mktemp('own'))


@pytest.mark.parametrize('name', GOLDENS)
def test_forwards_after_converting_equal_the_release(name, tmp_path):
    numbers, source = GOLDENS[name]
    if not numbers.exists():
        pytest.skip(f'{numbers.name} is not beside this checkout')
    golden, workdir = golden_of(numbers), tmp_path / 'run'
    if source is None and golden.release == 'pytorch':
        write_zip(source := tmp_path / 'x_params_latest.pt', tree_of(golden.below('init/')))
    elif source is None:
        write_tensorflow(source := tmp_path / 'UGATIT.model-1', golden.below('init/'))
    convert.convert(str(source), str(workdir), image_size=golden.config.data.image_size)

    own = restored(workdir)['own']
    with jax.enable_x64(golden.release == 'pytorch'):
        assert as_json(own.config)['model'] == as_json(golden.config)['model']
        config = ConfigDict(own.config)
        if golden.release == 'pytorch':
            config.training.compute_dtype = 'float64'
        golden.networks = make_networks(resolve(config))  # the file's own sizes from here on
        dtype = np.float64 if golden.release == 'pytorch' else np.float32
        params, spectral = jax.tree.map(lambda x: jnp.asarray(x, dtype), (own.params, own.spectral))
        images, compared = golden.images(0), 0
        for network in own.params:
            folder = (
                f'eval/{network}/' if golden.release == 'pytorch' else f'fwd/{official_names.TENSORFLOW_NETWORKS[network]}/'
            )
            stored, vectors = golden.below(folder), spectral.get(network)
            if not stored:
                continue
            if vectors and golden.release == 'tensorflow':  # there a forward iterates before it is used
                vectors = advance(params[network], vectors)
            domain = network[3] if network in GENERATORS else network[-1]
            out = outputs_of(golden, network, params[network], vectors, images[domain])
            out = {key: np.squeeze(out[key]) for key in stored}
            stored = {key: np.squeeze(value) for key, value in stored.items()}
            if golden.release == 'tensorflow' and 'out' in stored:
                # computed in float32 there: it is up to 5e-5 from what the same weights give in float64
                assert_close(out, {'out': stored.pop('out')}, atol=1e-4)
            if stored:
                assert_close(out, stored, rtol=1e-5)
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize('write', [write_zip, write_legacy])
@pytest.mark.parametrize('pool', ['1', 'full'])
def test_pytorch_file_to_ours_and_back_to_its_arrays(write, pool, tmp_path):
    config = small('pytorch', model__mlp_pool=pool)
    arrays = official_of(config, 'pytorch')
    write(tmp_path / 'x.pt', tree_of(arrays))
    lines = convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=None if pool == 'full' else 32)
    assert '--config.model.reference=pytorch' in lines[-1] and '--config.model.ch=2' in lines[-1]
    own = restored(tmp_path / 'run')['own']
    assert as_json(own.config)['model'] == as_json(config)['model'] and own.config.data.image_size == 32 and own.step == 0
    back = convert.official_arrays(own)
    assert back.keys() == arrays.keys()
    for name, value in arrays.items():
        assert back[name].shape == value.shape and back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_tensorflow_optimisers_are_carried_and_main_trains_on(tmp_path):
    config = small('paper')
    arrays = official_of(config, 'tensorflow')
    arrays = {name: value * np.float32(0.02) for name, value in arrays.items()}
    variables = with_slots(arrays, generator_updates=2)
    write_tensorflow(tmp_path / f'UGATIT.model-{STEP + 1}', variables)  # the release counts from 1
    convert.convert(str(tmp_path), str(tmp_path / 'run'), image_size=32)

    read = restored(tmp_path / 'run', 'generator_opt', 'discriminator_opt', 'step')
    assert read['step'] == STEP and as_json(read['own'].config)['model'] == as_json(config)['model']
    layout = read_official.make_layout('tensorflow', config)
    own = read['own']
    back = official_names.write_networks(layout, own.params, {name: {} for name in GENERATORS} | own.spectral)
    for name, value in arrays.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    for slot, moment in (('Adam', 'mu'), ('Adam_1', 'nu')):
        trees = {}
        for kind in ('generator', 'discriminator'):
            adam = next(part for part in read[f'{kind}_opt'] if moment in part)
            trees |= adam[moment]
        for name, value in official_names.write_networks(layout, trees).items():
            np.testing.assert_array_equal(value, variables[f'{name}/{slot}'], err_msg=name)

    run = ConfigDict(small('paper', training__steps=STEP + 1))
    run.seed = 5  # what the file did not decide is the run's own
    run.training.preview_images = 1
    state = train(run, str(tmp_path / 'run'))
    counts = [
        (int(part.count), type(part))
        for opt in (state.generator_opt, state.discriminator_opt)
        for part in opt
        if hasattr(part, 'count')
    ]
    assert counts == [
        (3, optax.ScaleByAdamState),
        (STEP + 1, optax.ScaleByScheduleState),
        (STEP + 1, optax.ScaleByAdamState),
        (STEP + 1, optax.ScaleByScheduleState),
    ]
    assert int(state.step) == STEP + 1 and Checkpoints(str(tmp_path / 'run')).latest() == STEP + 1
    run.model.rho_smoothing = 0.0
    with pytest.raises(UserError, match='model.rho_smoothing was 0.1, is 0.0'):
        train(run, str(tmp_path / 'run'))


def test_a_fresh_start_from_a_pytorch_file_is_restored_at_step_0(tmp_path):
    config = small('pytorch', optimizer__learning_rate=5e-4, data__source='synthetic:faces')
    write_zip(tmp_path / 'x.pt', tree_of(official_of(config, 'pytorch')))
    convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    checkpoints = Checkpoints(str(tmp_path / 'run'))
    fresh = init_state(make_networks(config), config)
    state = from_items(checkpoints.restore(checkpoints.latest(), to_items(fresh), config, StateSharding(make_mesh(1))))
    assert int(state.step) == 0 and not any(leaf.any() for leaf in jax.tree.leaves(state.generator_opt))
    np.testing.assert_array_equal(
        state.generator['genB2A']['stem']['kernel'], restored(tmp_path / 'run')['own'].params['genB2A']['stem']['kernel']
    )
    with pytest.raises(UserError, match='model.ch was 2, is 3'):
        other = small('pytorch', model__ch=3)
        checkpoints.restore(0, to_items(state), other, StateSharding(make_mesh(1)))


@pytest.fixture(scope='module')
def arrays():
    return official_of(small('pytorch'), 'pytorch')


def test_generators_alone(arrays, tmp_path):
    tree = tree_of(arrays)
    write_zip(tmp_path / 'both.pt', {name: tree[name] for name in GENERATORS})
    write_zip(tmp_path / 'one.pt', tree['genB2A'])
    lines = convert.convert(str(tmp_path / 'both.pt'), str(tmp_path / 'both'))
    assert 'cannot be trained' in lines[-1]
    own = restored(tmp_path / 'both')['own']
    assert tuple(own.params) == GENERATORS and own.config.data.image_size == 256
    assert '--direction=A2B' in refused(tmp_path / 'one.pt', tmp_path / 'one')
    convert.convert(str(tmp_path / 'one.pt'), str(tmp_path / 'one'), direction='B2A')
    own = restored(tmp_path / 'one')['own']
    assert list(own.params) == ['genB2A'] and not convert.unlike_pytorch(own)
    for name, value in convert.official_arrays(own).items():
        np.testing.assert_array_equal(value, arrays[name], err_msg=name)
    checkpoints = Checkpoints(str(tmp_path / 'both'))
    with pytest.raises(UserError, match='generators only'):
        checkpoints.restore(0, {}, restored(tmp_path / 'both')['own'].config, StateSharding(make_mesh(1)))


def test_half_precision_is_widened(arrays, tmp_path):
    write_zip(tmp_path / 'x.pt', tree_of({name: value.astype(np.float16) for name, value in arrays.items()}))
    convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    own = restored(tmp_path / 'run')['own']
    assert own.params['disLA']['cam']['bias'].dtype == np.float32
    np.testing.assert_array_equal(
        own.params['disLA']['cam']['bias'], arrays['disLA/conv1x1.bias'].astype(np.float16).astype(np.float32)
    )


def test_smoothing_follows_the_folder_of_the_release(tmp_path):
    arrays = official_of(small('paper'), 'tensorflow')
    for end, value in (('_sn_smoothing', 0.1), ('_sn', 0.0)):
        folder = tmp_path / f'UGATIT_light_selfie2anime_lsgan_4resblock_6dis_1_1_10_10_1000{end}'
        folder.mkdir()
        write_tensorflow(folder / 'UGATIT_light.model-4', arrays)
        (folder / 'checkpoint').write_text('model_checkpoint_path: "/elsewhere/UGATIT_light.model-4"\n')
        (folder / 'older.index').write_text('')
        convert.convert(str(folder), str(tmp_path / f'run{end}'), image_size=32)
        assert restored(tmp_path / f'run{end}')['own'].config.model.rho_smoothing == value


def test_safetensors(own_runs, tmp_path):
    numpy = pytest.importorskip('safetensors.numpy')
    for reference, run in own_runs.items():
        convert.convert(run, str(tmp_path / f'{reference}.safetensors'))
    raw, paper = (numpy.load_file(tmp_path / f'{name}.safetensors') for name in ('pytorch', 'paper'))
    own = convert.read_own(own_runs['pytorch'], 'raw')
    expected = {name.replace('/', '.'): value for name, value in convert.official_arrays(own).items()}
    assert raw.keys() == expected.keys() and 'disGA.model.1.weight_v' in raw
    for name, value in expected.items():
        np.testing.assert_array_equal(raw[name], value, err_msg=name)
    own = convert.read_own(own_runs['paper'] + '/checkpoints/0', 'raw')
    np.testing.assert_array_equal(
        paper['genA2B.encoder_0.conv_1.kernel'], own.params['genA2B']['encoder']['conv_1']['kernel'][0]
    )
    np.testing.assert_array_equal(paper['spectral.disLB.logit.u'], own.spectral['disLB']['logit']['u'])
    header = (tmp_path / 'paper.safetensors').read_bytes()
    length = int.from_bytes(header[:8], 'little')
    metadata = json.loads(header[8 : 8 + length])['__metadata__']
    assert json.loads(metadata['config'])['model']['reference'] == 'paper' and metadata['names'] == 'ugatit_jax'
    convert.convert(own_runs['pytorch'], str(tmp_path / 'ema.safetensors'), weights='ema')
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
    convert.convert(str(path), str(tmp_path / 'run'))
    convert.convert(str(tmp_path / 'run'), str(tmp_path / 'x.pt'))
    convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'again'))
    first, back = torch.load(path), torch.load(tmp_path / 'x.pt')
    assert list(back) == list(convert.OFFICIAL_ORDER) and set(first) == set(back)
    for network, weights in first.items():
        assert weights.keys() == back[network].keys()
        for name, value in weights.items():
            assert value.dtype == back[network][name].dtype and torch.equal(value, back[network][name]), name
    ours, again = (convert.read_own(str(tmp_path / name), 'raw') for name in ('run', 'again'))
    jax.tree.map(np.testing.assert_array_equal, (ours.params, ours.spectral), (again.params, again.spectral))


def test_the_command(arrays, tmp_path, capsys):
    write_zip(tmp_path / 'x.pt', tree_of(arrays))
    command = [f'--from={tmp_path}/x.pt', f'--to={tmp_path}/run']
    assert main([*command, '--image_size=32']) == 0
    assert 'PyTorch release, light model, ch 2' in capsys.readouterr().out
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'ugatit_jax: --to={tmp_path}/run exists already, and nothing is overwritten; name another'
    ]
