"""Students: what they minimise, a run from the command to an exported file, and what is refused."""

import json
import os
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import SMALL, main_each, metrics_of, weights_of
from tests.helpers.paths import ROOT
from tests.helpers.small import random_batch, small_config
from ugatit_jax import load
from ugatit_jax.checkpoint.model_folder import write_model_folder
from ugatit_jax.distill import training_flags
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.distill_objectives import distill_objective, encoder_features, teach
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.objectives import DiffAugment
from ugatit_jax.training.state import init_state
from ugatit_jax.training.step import make_train_step

FLAGS = (
    *SMALL,
    '--config.model.ch=4',
    '--config.training.steps=4',
    '--config.optimizer.decay=constant',  # of another number of steps: the same
)
ALONE = ('--config.data.image_size=32', '--config.model.n_layers_global=4', '--config.model.n_layers_local=3')
LEARNT = dict(loss__cycle_weight=0.0, loss__identity_weight=0.0, loss__cam_weight=0.0, distill__teacher='somewhere')


def random_params(networks, name, seed):
    shapes = jax.eval_shape(networks.module(name).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))['params']
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)


def write_teacher(folder, *names, seed=0, weights='ema'):
    config = small_config(training__ema_decay=0.9)
    networks = make_networks(config)
    folder.mkdir()
    generators = {name: random_params(networks, name, seed + i) for i, name in enumerate(names)}
    write_model_folder(folder, config, 7, weights, generators, 'float32')
    return folder


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """A folder of two generators with random weights, 32 pixels."""
    return write_teacher(tmp_path_factory.mktemp('teachers') / 'one', 'genA2B', 'genB2A')


def distill(*flags):
    command = [sys.executable, '-m', 'ugatit_jax.distill', *flags]
    return subprocess.run(command, cwd=ROOT, env=os.environ, text=True, capture_output=True)


@pytest.fixture(scope='module')
def run(teacher, tmp_path_factory):
    """The workdir of a run of four steps."""
    workdir = tmp_path_factory.mktemp('runs') / 'whole'
    result = distill(f'--teacher={teacher}', f'--workdir={workdir}', *FLAGS)
    assert result.returncode == 0, result.stderr
    assert 'teacher: ema generators' in result.stderr
    return workdir


def test_features_are_those_after_the_last_halving():
    networks = make_networks(small_config(model__n_down=3))
    params = random_params(networks, 'genA2B', 0)
    x = random_batch(small_config(), 0)['A']
    features = encoder_features(networks.genA2B, params, x)
    assert features.shape == (2, 4, 4, 16) and float(features.min()) == 0 and float(features.std()) > 0.1  # after the ReLU
    changed = params | {'gamma': jax.tree.map(lambda leaf: leaf + 1, params['gamma'])}  # a later layer
    np.testing.assert_array_equal(encoder_features(networks.genA2B, changed, x), features)
    assert not np.allclose(encoder_features(networks.genA2B, params, x / 2), features)


def test_the_objective_is_the_weighted_sum_of_its_terms(monkeypatch):
    """Against plain NumPy of images and features; adversarial terms of a constant discriminator."""
    from ugatit_jax.training import distill_objectives

    ad = {'A': {'G_ad_GA': jnp.float32(0.5), 'G_ad_LA': jnp.float32(0.25)}, 'B': {'G_ad_GB': jnp.float32(2.0)}}
    monkeypatch.setattr(distill_objectives, 'adversarial_terms', lambda fake, networks, config, domain, *_: ad[domain])
    config = small_config(**LEARNT, optimizer__weight_decay=0.0, loss__adversarial_weight_B2A=3.0)
    networks = make_networks(config)
    params = {name: random_params(networks, name, i) for i, name in enumerate(('genA2B', 'genB2A'))}
    real, other = random_batch(config, 0), random_batch(config, 1)
    targets = teach(networks, config, params, real)
    np.testing.assert_allclose(
        targets['fake_B'], networks.genA2B.apply({'params': params['genA2B']}, real['A']).image, atol=1e-5
    )
    outputs = {f'fake_{domain}': x for domain, x in other.items()}
    weights = {'l1_weight': 2.0, 'feature_weight': 5.0, 'weight_decay': 0.0}
    weights |= {'adversarial_weight_A2B': 7.0, 'adversarial_weight_B2A': 3.0}
    total, terms = distill_objective(
        networks,
        params,
        targets,
        {},
        outputs,
        networks,
        config,
        weights,
        real,
        None,
        None,
        DiffAugment((), None, jnp.arange(2)),
    )
    wanted = {}
    for domain, reverse, weight in (('A', 'genA2B', 3.0), ('B', 'genB2A', 7.0)):
        pair = [np.asarray(images[f'fake_{domain}'], np.float64) for images in (outputs, targets)]
        seen = [np.asarray(encoder_features(networks.module(reverse), params[reverse], x.astype(np.float32))) for x in pair]
        l1, feature = abs(pair[0] - pair[1]).mean(), abs(seen[0] - seen[1]).mean()
        assert l1 > 0.01 and feature > 0.01
        sums = 2 * l1 + 5 * feature + weight * float(sum(ad[domain].values()))
        wanted |= {f'G_l1_{domain}': l1, f'G_feature_{domain}': feature, f'G_{domain}': sums}
    for name, value in wanted.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(total, wanted['G_A'] + wanted['G_B'], rtol=1e-4)


def test_a_run_logs_its_terms_and_lowers_them(run):
    rows = metrics_of(run)
    assert {'G_l1_A', 'G_feature_B', 'G_A', 'G'} <= rows[0].keys()
    assert not any(name.startswith(('G_recon', 'D_', 'G_ad')) for name in rows[0])
    assert rows[-1]['G_l1_A'] + rows[-1]['G_l1_B'] < rows[0]['G_l1_A'] + rows[0]['G_l1_B']
    page = (run / 'report.html').read_text()
    assert 'G_l1' in page and 'python -m ugatit_jax.distill --teacher=' in page


def test_a_run_that_continues_equals_one_in_one_go(run, teacher, tmp_path):
    moved = shutil.copytree(teacher, tmp_path / 'moved')  # the same weights elsewhere
    for steps, where in ((2, teacher), (4, moved)):
        result = distill(f'--teacher={where}', f'--workdir={tmp_path}/run', *FLAGS, f'--config.training.steps={steps}')
        assert result.returncode == 0, result.stderr
    ours, whole = weights_of(tmp_path / 'run'), weights_of(run)
    assert ours.keys() == whole.keys() and not any('teacher' in name for name in whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


def test_without_an_adversarial_loss_discriminators_stay_as_they_were(run):
    moments = {name: value for name, value in weights_of(run).items() if 'discriminator_opt' in name}
    assert moments and not any(np.any(value) for value in moments.values())


def test_with_an_adversarial_loss_discriminators_are_in_the_step():
    def metrics(**fields):
        config = small_config(**LEARNT, **fields)
        networks = make_networks(config)
        state = jax.eval_shape(lambda: init_state(networks, config))
        step = make_train_step(networks, config, teacher=networks)
        return jax.eval_shape(step, state, random_batch(config, 0), hyperparameters(config, state.generator))[1].keys()

    both, one = metrics(), metrics(loss__adversarial_weight=0.0, loss__adversarial_weight_A2B=0.5)
    assert both == one >= {'D_ad_GA', 'G_ad_LB', 'G_adcam_GA', 'G_l1_A', 'grad_norm_disLB', 'D', 'G'}
    assert metrics(loss__adversarial_weight=0.0).isdisjoint({'D', 'D_ad_GA', 'G_ad_LB', 'grad_norm_disLB'})


def test_a_student_translates_and_is_exported(run, tmp_path):
    from ugatit_jax.export.__main__ import main as export

    image = np.asarray(Image.effect_noise((45, 37), 60).convert('RGB'))
    student = load(str(run))
    generator = student.generator
    assert (generator.separable, generator.n_down, generator.pixel_unshuffle, generator.image_skip) == (True, 1, 2, True)
    whole = student(image, size='original')
    assert whole.shape == image.shape  # 37 x 45, padded to multiples of 4
    assert export([f'--checkpoint={run}', f'--to={tmp_path / "folder"}', '--dtype=float16']) == 0
    assert export([f'--checkpoint={run}', f'--to={tmp_path / "a.onnx"}', '--direction=a2b']) == 0  # compared with JAX
    again = load(str(tmp_path / 'folder'))
    assert np.abs(again(image, size='original').astype(int) - whole).max() <= 2
    stored = json.loads((tmp_path / 'folder' / 'config.json').read_text())['config']['distill']
    assert stored['teacher'] == 'one' and len(stored['teacher_checksum']) == 16
    card = (tmp_path / 'folder' / 'README.md').read_text()
    assert (
        f'| teacher | one, checksum {stored["teacher_checksum"]}' in card and '| L1 10, features 10, adversarial 0 |' in card
    )


def test_what_does_not_fit_is_refused_in_one_line_before_anything_is_written(run, teacher, tmp_path):
    other = write_teacher(tmp_path / 'other', 'genA2B', 'genB2A', seed=5)
    half = write_teacher(tmp_path / 'half', 'genA2B')
    workdir = f'--workdir={tmp_path}/run'
    refused = {
        (f'--config=distill:{tmp_path}/nowhere', workdir): 'nowhere is neither a workdir',
        ('--config=distill', workdir): 'names no teacher',
        (f'--config=distill:{half}', workdir, *ALONE): 'has no genB2A; a teacher needs both',
        (
            f'--config=distill:{teacher}',
            workdir,
            '--config.data.image_size=64',
        ): 'data.image_size=64 does not work; it has to be 32',
        (
            f'--config=distill:{teacher}',
            workdir,
            '--config.data.channels_B=1',
        ): 'data.channels_B=1 does not work; it has to be 3',
        (
            f'--config=distill:{teacher}',
            workdir,
            '--config.loss.cycle_weight=1',
        ): 'loss.cycle_weight=1.0 with distill.teacher',
        (f'--config=distill:{teacher}', workdir, '--config.distill.teacher_checksum=ab'): 'not distill.teacher_checksum=ab',
        (
            f'--config=distill:{other}',
            f'--workdir={run}',
            *FLAGS,
            '--config.training.steps=6',
        ): 'distill.teacher_checksum was',
    }
    before = weights_of(run)
    for (code, errors), message in zip(main_each(*refused), refused.values(), strict=True):
        last = errors.strip().splitlines()[-1]
        assert code != 0 and message in last and 'Traceback' not in errors, errors
    assert not (tmp_path / 'run').exists()
    after = weights_of(run)
    assert all(np.array_equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize('flags', [['--config=configs/demo.py'], ['--config', 'configs/demo.py']])
def test_another_config_is_refused(flags, capsys):
    """It would train without the teacher."""
    with pytest.raises(SystemExit):
        training_flags(['--teacher=emoji', '--workdir=x', *flags])
    assert '--config=configs/demo.py: the student has a config of its own' in capsys.readouterr().err
    changed = training_flags(['--teacher=emoji', '--workdir=x', '--config.model.ch=12'])
    assert changed == ['--config=distill:emoji', '--workdir=x', '--config.model.ch=12']


def test_raw_weights_teach_with_a_warning(tmp_path, caplog):
    from ugatit_jax.training.teacher import load_teacher

    folder = write_teacher(tmp_path / 'raw', 'genA2B', 'genB2A', weights='raw')
    config, found = load_teacher(small_config(**LEARNT | dict(distill__teacher=str(folder))))
    assert found and len(config.distill.teacher_checksum) == 16
    assert 'its raw ones teach' in caplog.text
