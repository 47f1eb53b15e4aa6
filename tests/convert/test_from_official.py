"""Official checkpoints become workdirs of ours, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from tests.helpers.goldens import assert_close, outputs_of
from tests.helpers.official_files import (
    STEP,
    golden_of,
    networks_of,
    official_of,
    refusal,
    training_of,
    tree_of,
    with_slots,
    write_tensorflow,
)
from tests.helpers.paths import REFERENCE, ROOT
from tests.helpers.small import small_config
from tests.helpers.torch_writer import write_legacy, write_zip
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import StateSharding, make_mesh
from ugatit_jax.config.resolve import resolve
from ugatit_jax.convert.convert import convert
from ugatit_jax.convert.official_layout import write_networks
from ugatit_jax.convert.official_names import TENSORFLOW_NETWORKS, OfficialNames
from ugatit_jax.convert.to_files import differences_from_pytorch, official_arrays
from ugatit_jax.models.names import GENERATORS, domain_of, source_of
from ugatit_jax.models.networks import make_networks
from ugatit_jax.models.spectral_norm import advance
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
    convert(str(source), str(workdir), image_size=golden.config.data.image_size)

    ours = networks_of(workdir)
    with jax.enable_x64(golden.release == 'pytorch'):
        assert as_json(ours.config)['model'] == as_json(golden.config)['model']
        config = ConfigDict(ours.config)
        if golden.release == 'pytorch':
            config.training.compute_dtype = 'float64'
        golden.networks = make_networks(resolve(config))  # the file's own sizes from here on
        dtype = np.float64 if golden.release == 'pytorch' else np.float32
        params, spectral = jax.tree.map(lambda x: jnp.asarray(x, dtype), (ours.params, ours.spectral))
        images, compared = golden.images(0), 0
        for network in ours.params:
            folder = f'eval/{network}/' if golden.release == 'pytorch' else f'fwd/{TENSORFLOW_NETWORKS[network]}/'
            stored, vectors = golden.below(folder), spectral.get(network)
            if not stored:
                continue
            if vectors and golden.release == 'tensorflow':  # there a forward iterates before it is used
                vectors = advance(params[network], vectors)
            domain = source_of(network) if network in GENERATORS else domain_of(network)
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
    config = small_config(model__reference='pytorch', model__mlp_pool=pool)
    arrays = official_of(config, 'pytorch')
    write(tmp_path / 'x.pt', tree_of(arrays))
    lines = convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=None if pool == 'full' else 32)
    assert '--config.model.reference=pytorch' in lines[-1] and '--config.model.ch=2' in lines[-1]
    ours = networks_of(tmp_path / 'run')
    assert as_json(ours.config)['model'] == as_json(config)['model']
    assert ours.config.data.image_size == 32 and ours.step == 0
    back = official_arrays(ours)
    assert back.keys() == arrays.keys()
    for name, value in arrays.items():
        assert back[name].shape == value.shape and back[name].dtype == value.dtype
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_networks_of_a_pytorch_file_may_be_in_any_order(arrays, tmp_path):
    tree = tree_of(arrays)
    write_zip(tmp_path / 'x.pt', {name: tree[name] for name in reversed(tree)})
    convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    for name, value in official_arrays(networks_of(tmp_path / 'run')).items():
        np.testing.assert_array_equal(value, arrays[name], err_msg=name)


def test_tensorflow_optimizers_are_carried_and_main_trains_on(tmp_path):
    config = small_config()
    arrays = official_of(config, 'tensorflow')
    arrays = {name: value * np.float32(0.02) for name, value in arrays.items()}
    variables = with_slots(arrays, generator_updates=2)  # as with --n_critic=2: in the steps 1 and 3 of 3
    write_tensorflow(tmp_path / f'UGATIT.model-{STEP + 1}', variables)  # the release counts from 1
    lines = convert(str(tmp_path), str(tmp_path / 'run'), image_size=32)
    assert 'from step 2' in lines[-2] and '--config.training.n_critic=2' in lines[-1]

    training, ours = (
        training_of(tmp_path / 'run', 'generator_opt', 'discriminator_opt', 'step'),
        networks_of(tmp_path / 'run'),
    )
    assert training['step'] == 2 and as_json(ours.config)['model'] == as_json(config)['model']
    names = OfficialNames.of_config('tensorflow', config)
    back = write_networks(names, ours.params, ours.spectral)
    for name, value in arrays.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)
    for slot, moment in (('Adam', 'mu'), ('Adam_1', 'nu')):
        trees = {}
        for kind in ('generator', 'discriminator'):
            adam = next(part for part in training[f'{kind}_opt'] if moment in part)
            trees |= adam[moment]
        for name, value in write_networks(names, trees).items():
            np.testing.assert_array_equal(value, variables[f'{name}/{slot}'], err_msg=name)

    run = ConfigDict(small_config(training__steps=3, training__n_critic=2))
    run.seed = 5  # what the file did not decide is the run's own
    run.training.preview_images, run.evaluation.every = 1, 0
    state = train(run, str(tmp_path / 'run'))
    counts = [
        (int(part.count), type(part))
        for opt in (state.generator_opt, state.discriminator_opt)
        for part in opt
        if hasattr(part, 'count')
    ]
    assert counts == [
        (3, optax.ScaleByAdamState),
        (3, optax.ScaleByScheduleState),
        (STEP + 2, optax.ScaleByAdamState),  # the step's two updates
        (STEP + 2, optax.ScaleByScheduleState),
    ]
    assert int(state.step) == 3 and Checkpoints(str(tmp_path / 'run')).latest() == 3
    run.model.rho_smoothing = 0.0
    with pytest.raises(UserError, match='model.rho_smoothing was 0.1, is 0.0'):
        train(run, str(tmp_path / 'run'))


def test_a_fresh_start_from_a_pytorch_file_is_restored_at_step_0(tmp_path):
    config = small_config(model__reference='pytorch', optimizer__learning_rate=5e-4, data__source='synthetic:faces')
    write_zip(tmp_path / 'x.pt', tree_of(official_of(config, 'pytorch')))
    convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    checkpoints = Checkpoints(str(tmp_path / 'run'))
    fresh = init_state(make_networks(config), config)
    state = from_items(checkpoints.restore(checkpoints.latest(), to_items(fresh), config, StateSharding(make_mesh(1))))
    assert int(state.step) == 0 and not any(leaf.any() for leaf in jax.tree.leaves(state.generator_opt))
    np.testing.assert_array_equal(
        state.generator['genB2A']['stem']['kernel'], networks_of(tmp_path / 'run').params['genB2A']['stem']['kernel']
    )
    with pytest.raises(UserError, match='model.ch was 2, is 3'):
        other = small_config(model__reference='pytorch', model__ch=3)
        checkpoints.restore(0, to_items(state), other, StateSharding(make_mesh(1)))


def test_generators_alone(arrays, tmp_path):
    tree = tree_of(arrays)
    write_zip(tmp_path / 'both.pt', {name: tree[name] for name in GENERATORS})
    write_zip(tmp_path / 'one.pt', tree['genB2A'])
    lines = convert(str(tmp_path / 'both.pt'), str(tmp_path / 'both'))
    assert 'cannot be trained' in lines[-1]
    ours = networks_of(tmp_path / 'both')
    assert tuple(ours.params) == GENERATORS and ours.config.data.image_size == 256
    assert '--direction=A2B' in refusal(tmp_path / 'one.pt', tmp_path / 'one')
    convert(str(tmp_path / 'one.pt'), str(tmp_path / 'one'), direction='B2A')
    ours = networks_of(tmp_path / 'one')
    assert list(ours.params) == ['genB2A'] and not differences_from_pytorch(ours)
    for name, value in official_arrays(ours).items():
        np.testing.assert_array_equal(value, arrays[name], err_msg=name)
    checkpoints = Checkpoints(str(tmp_path / 'both'))
    with pytest.raises(UserError, match='generators only'):
        checkpoints.restore(0, {}, networks_of(tmp_path / 'both').config, StateSharding(make_mesh(1)))


def test_half_precision_is_widened(arrays, tmp_path):
    write_zip(tmp_path / 'x.pt', tree_of({name: value.astype(np.float16) for name, value in arrays.items()}))
    convert(str(tmp_path / 'x.pt'), str(tmp_path / 'run'), image_size=32)
    bias = networks_of(tmp_path / 'run').params['disLA']['cam']['bias']
    assert bias.dtype == np.float32
    np.testing.assert_array_equal(bias, arrays['disLA/conv1x1.bias'].astype(np.float16).astype(np.float32))


def test_smoothing_follows_the_folder_of_the_release(tmp_path):
    arrays = official_of(small_config(), 'tensorflow')
    for end, value in (('_sn_smoothing', 0.1), ('_sn', 0.0)):
        folder = tmp_path / f'UGATIT_light_selfie2anime_lsgan_4resblock_6dis_1_1_10_10_1000{end}'
        folder.mkdir()
        write_tensorflow(folder / 'UGATIT_light.model-4', arrays)
        (folder / 'checkpoint').write_text('model_checkpoint_path: "/elsewhere/UGATIT_light.model-4"\n')
        (folder / 'older.index').write_text('')
        convert(str(folder), str(tmp_path / f'run{end}'), image_size=32)
        assert networks_of(tmp_path / f'run{end}').config.model.rho_smoothing == value
