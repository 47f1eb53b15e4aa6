"""Official checkpoints become ours and come back, bit for bit; what cannot is refused in one line."""
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from configs import default
from tests.conftest import REFERENCE, ROOT
from tests.goldens import Golden, assert_close
from tests.test_goldens import outputs_of
from tests.torch_writer import write_legacy, write_zip
from ugatit_jax import convert, official, released
from ugatit_jax.checkpoint import Checkpoints, as_json
from ugatit_jax.config import resolve
from ugatit_jax.errors import UserError
from ugatit_jax.models.spectral_norm import advance
from ugatit_jax.networks import DISCRIMINATORS, GENERATORS, make_networks
from ugatit_jax.state import init_state
from ugatit_jax.train import train

GOLDENS = {  # name: (numbers, official checkpoint; None where the test writes it)
    'embedded pytorch': (ROOT / 'tests/golden_data/pytorch_light.npz', None),
    'embedded tensorflow': (ROOT / 'tests/golden_data/tensorflow_light.npz', None),
    'pytorch light': (REFERENCE / 'pytorch_light.npz', REFERENCE / 'pytorch_light.pt'),
    'pytorch full': (REFERENCE / 'pytorch_full.npz', REFERENCE / 'pytorch_full.pt'),
    'tensorflow light': (REFERENCE / 'tensorflow_light.npz', REFERENCE / 'tensorflow_light_ckpt'),
    'tensorflow full': (REFERENCE / 'tensorflow_full.npz', REFERENCE / 'tensorflow_full_ckpt')}
STEP, BETA2 = 3, np.float32(0.999)


def tree_of(arrays: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """{'genA2B/x.weight': array} as the dict of state_dicts that an official file is."""
    networks: dict = {}
    for name, value in arrays.items():
        network, _, key = name.partition('/')
        networks.setdefault(network, {})[key] = value
    return networks


def golden_of(path: pathlib.Path) -> Golden:
    with jax.enable_x64('pytorch' in path.stem):
        return Golden(str(path))


def write_tensorflow(prefix: pathlib.Path, variables: dict[str, np.ndarray]) -> None:
    import tensorflow as tf
    names = sorted(variables)
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=names, shape_and_slices=[''] * len(names), tensors=[variables[n] for n in names])


def small(reference: str, **fields):
    """A resolved config of networks of few weights."""
    config = default.get_config()
    config.model.reference, config.model.ch, config.model.n_res = reference, 2, 1
    config.data.image_size, config.model.n_layers_global, config.model.n_layers_local = 32, 4, 3
    for name, value in fields.items():
        group, field = name.split('__')
        config[group][field] = value
    return resolve(config)


def official_of(config, release: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays under a release's names for networks of this config."""
    networks, layout, rng = make_networks(config), released.make_layout(release, config), np.random.default_rng(seed)
    arrays = {}
    for name in GENERATORS + DISCRIMINATORS:
        shapes = released.network_shapes(networks, name, config)
        for entry in layout.table(name):
            shape = official.official_shape(entry, released.our_shape(shapes, entry))
            arrays[layout.prefix(name) + entry.official] = rng.normal(size=shape).astype(np.float32)
    return arrays


def restored(workdir, *items: str) -> dict:
    """Networks and config of a workdir's newest checkpoint, as a later reader of it sees them."""
    checkpoints = Checkpoints(str(workdir))
    own = convert.read_own(str(workdir), 'raw')
    training = checkpoints.read(own.step, 'training', *items) if items else {}
    checkpoints.close()
    return {'own': own, **training}


def refused(source, target, **options) -> str:
    before = sorted(pathlib.Path(target).parent.rglob('*'))
    with pytest.raises(UserError) as error:
        convert.convert(str(source), str(target), **options)
    assert '\n' not in str(error.value)
    assert sorted(pathlib.Path(target).parent.rglob('*')) == before
    return str(error.value)


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
            folder = f'eval/{network}/' if golden.release == 'pytorch' else f'fwd/{official.TENSORFLOW_NETWORKS[network]}/'
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


def with_slots(arrays: dict[str, np.ndarray], generator_updates: int) -> dict[str, np.ndarray]:
    """A TensorFlow checkpoint after STEP updates of the discriminators."""
    rng, variables = np.random.default_rng(1), dict(arrays)
    for name in arrays:
        if not name.endswith('/u'):
            for slot in ('Adam', 'Adam_1'):
                variables[f'{name}/{slot}'] = abs(rng.normal(size=arrays[name].shape)).astype(np.float32)
    for suffix, count in (('', generator_updates), ('_1', STEP)):
        product = BETA2
        for _ in range(count):
            product = product * BETA2
        variables |= {f'beta1_power{suffix}': np.float32(0.5 ** (count + 1)), f'beta2_power{suffix}': product}
    return variables


def test_tensorflow_optimisers_are_carried_and_main_trains_on(tmp_path):
    config = small('paper')
    arrays = official_of(config, 'tensorflow')
    arrays = {name: value * np.float32(0.02) for name, value in arrays.items()}
    variables = with_slots(arrays, generator_updates=2)
    write_tensorflow(tmp_path / f'UGATIT.model-{STEP + 1}', variables)  # the release counts from 1
    convert.convert(str(tmp_path), str(tmp_path / 'run'), image_size=32)

    read = restored(tmp_path / 'run', 'generator_opt', 'discriminator_opt', 'step')
    assert read['step'] == STEP and as_json(read['own'].config)['model'] == as_json(config)['model']
    layout = released.make_layout('tensorflow', config)
    own = read['own']
    back = official.write_networks(layout, own.params, {name: {} for name in GENERATORS} | own.spectral)
    for name, value in arrays.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    for slot, moment in (('Adam', 'mu'), ('Adam_1', 'nu')):
        trees = {}
        for kind in ('generator', 'discriminator'):
            adam = next(part for part in read[f'{kind}_opt'] if moment in part)
            trees |= adam[moment]
        for name, value in official.write_networks(layout, trees).items():
            np.testing.assert_array_equal(value, variables[f'{name}/{slot}'], err_msg=name)

    run = ConfigDict(small('paper', training__steps=STEP + 1))
    run.seed = 5  # what the file did not decide is the run's own
    run.training.preview_images = 1
    state = train(run, str(tmp_path / 'run'))
    counts = [(int(part.count), type(part)) for opt in (state.generator_opt, state.discriminator_opt)
              for part in opt if hasattr(part, 'count')]
    assert counts == [(3, optax.ScaleByAdamState), (STEP + 1, optax.ScaleByScheduleState),
                      (STEP + 1, optax.ScaleByAdamState), (STEP + 1, optax.ScaleByScheduleState)]
    assert int(state.step) == STEP + 1 and Checkpoints(str(tmp_path / 'run')).latest() == STEP + 1
    run.model.rho_smoothing = 0.0
    with pytest.raises(UserError, match='model.rho_smoothing was 0.1, is 0.0'):
        train(run, str(tmp_path / 'run'))


def test_a_fresh_start_from_a_pytorch_file_is_restored_at_step_0(tmp_path):
    config = small('pytorch', optimizer__learning_rate=5e-4, data__source='synthetic:faces')
    write_zip(tmp_path / 'x.pt', tree_of(official_of(config, 'pytorch')))
    convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    checkpoints = Checkpoints(str(tmp_path / 'run'))
    state = checkpoints.restore(checkpoints.latest(), init_state(make_networks(config), config), config)
    assert int(state.step) == 0 and not any(leaf.any() for leaf in jax.tree.leaves(state.generator_opt))
    np.testing.assert_array_equal(
        state.generator['genB2A']['stem']['kernel'], restored(tmp_path / 'run')['own'].params['genB2A']['stem']['kernel'])
    with pytest.raises(UserError, match='model.ch was 2, is 3'):
        other = small('pytorch', model__ch=3)
        checkpoints.restore(0, state, other)


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
        checkpoints.restore(0, None, restored(tmp_path / 'both')['own'].config)


def test_half_precision_is_widened(arrays, tmp_path):
    write_zip(tmp_path / 'x.pt', tree_of({name: value.astype(np.float16) for name, value in arrays.items()}))
    convert.convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    own = restored(tmp_path / 'run')['own']
    assert own.params['disLA']['cam']['bias'].dtype == np.float32
    np.testing.assert_array_equal(
        own.params['disLA']['cam']['bias'], arrays['disLA/conv1x1.bias'].astype(np.float16).astype(np.float32))


def changed(arrays, **changes):
    """Arrays with some replaced or, where None, left out; '__' stands for '/' and dots."""
    result = {**arrays, **changes}
    return {name: value for name, value in result.items() if value is not None}


@pytest.mark.parametrize('changes, message', [
    ({'genB2A/DownBlock.5.weight': np.zeros((6, 2, 3, 3), np.float32)}, 'DownBlock.5.weight is [6, 2, 3, 3], and has to be'),
    ({'genA2B/UpBlock2.3.rho': np.zeros((4,), np.float32)}, 'UpBlock2.3.rho is [4], and has to be [1, 4, 1, 1]'),
    ({'genA2B/FC.0.weight': np.zeros((8, 24), np.float32)}, '24 inputs, which are not 8 channels'),
    ({'genB2A/FC.0.weight': np.zeros((8, 32), np.float32)}, 'genB2A/FC.0.weight is [8, 32], and has to be [8, 8]'),
    ({'disGB/model.7.weight_u': np.zeros((5,), np.float32)}, 'disGB/model.7.weight_u is [5], and has to be [8]'),
    ({'disGA/model.1.weight_v': None}, 'lacks disGA/model.1.weight_v'),
    ({'genA2B/DownBlock.1.weight': None}, 'lacks genA2B/DownBlock.1.weight'),
    ({'genA2B/DownBlock.1.weight': np.zeros((2,), np.float32)}, 'DownBlock.1.weight is [2]'),
    ({'disLB/model.22.bias': np.zeros(3, np.float32)}, 'has disLB/model.22.bias'),
    ({'genB2A/UpBlock1_2.conv1.weight': np.zeros((8, 8, 3, 3), np.float32)}, 'has genB2A/UpBlock1_2.conv1.weight'),
    ({'genA2B/conv1x1.bias': np.zeros(8, np.float64)}, 'conv1x1.bias is float64'),
    ({'genA2B/conv1x1.bias': 3}, 'conv1x1.bias is a int'),
    ({'teacher/w': np.zeros(8, np.float32)}, 'more than the networks of U-GAT-IT: teacher'),
])
def test_files_that_contradict_themselves(arrays, changes, message, tmp_path):
    write_zip(tmp_path / 'x.pt', tree_of(changed(arrays, **changes)))
    assert message in refused(tmp_path / 'x.pt', tmp_path / 'run', image_size=32)


def test_other_files_and_flags_are_refused(arrays, tmp_path):
    tree, x, run = tree_of(arrays), tmp_path / 'x.pt', tmp_path / 'run'
    write_zip(x, {name: value for name, value in tree.items() if name not in ('disLA', 'genA2B')})
    assert 'lacks genA2B, disLA' in refused(x, run)
    write_zip(x, {'weight': np.zeros(3, np.float32)})
    assert 'not a checkpoint of U-GAT-IT: it has weight' in refused(x, run)
    write_zip(x, pickled=b'\x80\x02](K\x01K\x02e.')
    assert 'holds a list' in refused(x, run)
    write_zip(x, pickled=b'\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.')
    assert 'holds os.system' in refused(x, run)
    x.write_text('hello')
    assert 'not a file of torch.save' in refused(x, run)
    assert 'no such file' in refused(tmp_path / 'nothing', run)
    (tmp_path / 'empty').mkdir()
    assert 'neither a workdir' in refused(tmp_path / 'empty', run)
    write_zip(x, tree_of(official_of(small('pytorch', model__mlp_pool='full'), 'pytorch')))
    assert 'for 32 pixels, and --image_size=64' in refused(x, run, image_size=64)
    assert '--direction' in refused(x, run, direction='A2B')
    assert '--smoothing' in refused(x, run, smoothing=False)
    assert 'data.image_size=30' in refused(tmp_path / 'light.pt', run, image_size=30) if write_zip(
        tmp_path / 'light.pt', tree) else True
    before = x.read_bytes()
    assert 'exists already' in refused(x, x)
    assert x.read_bytes() == before
    assert 'to a folder before' in refused(x, tmp_path / 'y.pt')


def test_tensorflow_files_that_are_damaged_or_incomplete(tmp_path):
    arrays = official_of(small('paper'), 'tensorflow')
    variables, run = with_slots(arrays, STEP), tmp_path / 'run'
    del variables['generator_A/conv/conv2d/kernel/Adam']
    write_tensorflow(tmp_path / 'slot-4', variables)
    assert "lacks Adam's state of generator_A/conv/conv2d/kernel" in refused(tmp_path / 'slot-4', run, image_size=32)
    variables = with_slots(arrays, STEP) | {'global_step': np.float32(1)}
    write_tensorflow(tmp_path / 'extra-4', variables)
    assert 'more than the networks of U-GAT-IT: global_step' in refused(tmp_path / 'extra-4', run, image_size=32)
    write_tensorflow(tmp_path / 'some-4', {n: v for n, v in arrays.items() if not n.startswith('discriminator_B/local')})
    assert 'lacks discriminator_B/local' in refused(tmp_path / 'some-4', run, image_size=32)
    write_tensorflow(tmp_path / 'cut-4', arrays)
    assert 'has 4 checkpoints' in refused(tmp_path, run)
    os.truncate(tmp_path / 'cut-4.data-00000-of-00001', 5000)
    assert 'truncated or damaged' in refused(tmp_path / 'cut-4.index', run, image_size=32)
    (tmp_path / 'cut-4.index').write_text('hello')
    assert 'truncated or damaged' in refused(tmp_path / 'cut-4', run, image_size=32)


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


@pytest.fixture(scope='module')
def own_runs(tmp_path_factory):
    """Workdirs of this project at step 0: {'paper', 'pytorch'}, the second with averaged generators that differ."""
    made = {}
    for reference, decay in (('paper', 0.0), ('pytorch', 0.9)):
        config = small(reference, training__ema_decay=decay)
        state = init_state(make_networks(config), config)
        state = state.replace(ema=jax.tree.map(lambda x: x + 1, state.ema))
        made[reference] = str(tmp_path_factory.mktemp(reference) / 'run')
        checkpoints = Checkpoints(made[reference])
        checkpoints.save(state, config)
        checkpoints.close()
    return made


def test_a_model_that_the_pytorch_release_does_not_have_is_refused(own_runs, tmp_path):
    message = refused(own_runs['paper'], tmp_path / 'x.pt')
    assert 'model.cam_shared=True (there False)' in message and 'safetensors' in message
    assert 'model.n_layers_global=4 (there 7)' in refused(own_runs['pytorch'], tmp_path / 'x.pt')
    assert 'of this project already' in refused(own_runs['paper'], tmp_path / 'x')
    assert '--image_size' in refused(own_runs['paper'], tmp_path / 'x.pt', image_size=32)
    assert 'no averaged generators' in refused(own_runs['paper'], tmp_path / 'x.pt', weights='ema')


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
        paper['genA2B.encoder_0.conv_1.kernel'], own.params['genA2B']['encoder']['conv_1']['kernel'][0])
    np.testing.assert_array_equal(paper['spectral.disLB.logit.u'], own.spectral['disLB']['logit']['u'])
    header = (tmp_path / 'paper.safetensors').read_bytes()
    length = int.from_bytes(header[:8], 'little')
    metadata = json.loads(header[8:8 + length])['__metadata__']
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
    assert convert.main([*command, '--image_size=32']) == 0
    assert 'PyTorch release, light model, ch 2' in capsys.readouterr().out
    assert convert.main(command) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'ugatit_jax: --to={tmp_path}/run exists already, and nothing is overwritten; name another']
