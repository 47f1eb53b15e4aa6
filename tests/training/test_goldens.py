"""Equality with what the two official releases computed: forwards, losses, gradients, and weights after some steps."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.goldens import Golden, assert_close, outputs_of
from ugatit_jax.convert.official_layout import write_networks
from ugatit_jax.convert.official_names import TENSORFLOW_NETWORKS
from ugatit_jax.models import losses
from ugatit_jax.models.names import DISCRIMINATORS, GENERATORS
from ugatit_jax.models.spectral_norm import advance, power_iteration_steps
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.objectives import DiffAugment, generate, generator_objective
from ugatit_jax.training.state import state_of_weights
from ugatit_jax.training.step import make_train_step

# float64 against float64 stored as float32: rounding of the file alone
PYTORCH = dict(rtol=1e-6, atol=1e-12)
# After the last step: the file has the start weights in float32, and Adam divides by the gradient's size, so rare elements
# of small gradient feel that rounding: one of pytorch_full's 148 arrays, of 65,536 elements, is off by 1.6e-7 somewhere.
AFTER_STEPS, RARE, RARELY = 1e-7, 2e-6, 1e-3
# float32 against float32, with other orders of summation
TENSORFLOW_FORWARD = dict(rtol=1e-4)
TENSORFLOW_LOSS = 1e-3


@functools.cache
def load(path: pathlib.Path, backend: str) -> Golden:
    """The golden file with networks for that backend, or a visible skip where the reference data are not there."""
    if not path.exists():
        pytest.skip(f'{path.name} is not beside this checkout')
    return Golden(str(path))


@pytest.fixture
def golden(golden_path, backend, request):
    """The golden, with 64 bits switched on for the PyTorch release's, and the forms of that backend."""
    if backend != 'cpu':
        request.getfixturevalue('as_on')(backend)
    pytorch = golden_path.exists() and 'init/genA2B/DownBlock.1.weight' in np.load(golden_path).files
    with jax.enable_x64(pytorch):
        golden = load(golden_path, backend)
        assert golden.networks.genA2B.unroll == (1 if backend == 'cpu' else golden.config.model.n_res)
        yield golden


def test_forward(golden):
    generator, discriminator, spectral = golden.read('init/')
    images = golden.images(0)
    for name in GENERATORS + DISCRIMINATORS:
        if golden.release == 'pytorch':
            stored, tolerance = golden.below(f'eval/{name}/'), PYTORCH
        else:
            stored, tolerance = golden.below(f'fwd/{TENSORFLOW_NETWORKS[name]}/'), TENSORFLOW_FORWARD
        vectors = None
        if name in spectral:
            vectors = spectral[name]
            if golden.release == 'tensorflow':  # which iterates in evaluation, too
                vectors = jax.jit(advance)(discriminator[name], vectors)
        domain = name[3] if name in GENERATORS else name[-1]
        out = outputs_of(golden, name, (generator | discriminator)[name], vectors, images[domain])
        if golden.release == 'tensorflow':
            stored['heatmap'] = np.squeeze(stored['heatmap'])
        if 'out' in stored and golden.release == 'tensorflow':  # an image in [-1, 1]: against its range, not its largest
            assert_close(out, {'out': stored.pop('out')}, atol=1e-4)
        if stored:
            assert_close(out, stored, **tolerance)


def test_spectral_vectors_after_a_forward(golden):
    stored = golden.below('fwd_u_after/')
    if not stored:
        pytest.skip('no vectors after a forward in this file: test_steps has them')
    _, discriminator, spectral = golden.read('init/')
    after = {name: jax.jit(advance)(discriminator[name], spectral[name]) for name in DISCRIMINATORS}
    assert_close(write_networks(golden.names, discriminator, after), stored, rtol=1e-4)


@pytest.mark.slow_as_on_gpu  # tests/models/ops has each of those forms, with its gradients, by itself
@pytest.mark.parametrize('copies', [2, pytest.param(1, marks=pytest.mark.slow)])
def test_steps(golden, copies, backend):
    """Losses of every stored step, gradients of the first, everything after the last.

    All are means over the batch, so that a batch of every image twice has those of the file. Without the copies XLA has to
    optimise, as tests/conftest.py says, and to compile takes twice as long.
    """
    steps = sorted({int(match[1]) for name in golden.arrays if (match := re.match(r'step(\d+)/loss/', name))})
    if not steps:
        pytest.skip('no steps in this file: test_generator_losses has its losses')
    start = golden.read('init/')
    # one program, where each of its zeros would be one
    state = jax.jit(functools.partial(state_of_weights, golden.config))(*start, jax.random.key(0))
    # a GPU's forms have convolutions that take half a minute unoptimised
    options = {'xla_backend_optimization_level': 0 if copies > 1 and backend == 'cpu' else 1}
    train_step = jax.jit(make_train_step(golden.networks, golden.config), compiler_options=options)
    for k in steps:
        images = {domain: jnp.repeat(image, copies, axis=0) for domain, image in golden.images(k).items()}
        state, metrics = train_step(state, images, hyperparameters(golden.config))
        assert_close(metrics, golden.below(f'step{k}/loss/'), **PYTORCH)
        if k == 0:
            gradients = {
                **gradients_of(golden, state.discriminator_opt, start[1]),
                **gradients_of(golden, state.generator_opt, start[0]),
            }
            for half in ('dgrad', 'ggrad'):
                assert_close(gradients, golden.below(f'step0/{half}/'), **PYTORCH)
    after = write_networks(
        golden.names, state.generator | state.discriminator, {name: {} for name in GENERATORS} | state.spectral
    )
    stored = golden.below(f'step{steps[-1]}/params/')
    vectors = {name: value for name, value in stored.items() if name.endswith(('weight_u', 'weight_v'))}
    weights = {name: value for name, value in stored.items() if name not in vectors}
    assert_close(after, weights, atol=RARE)
    for name, value in weights.items():
        assert np.mean(abs(after[name] - value) > AFTER_STEPS) <= RARELY, name
    assert_close(after, vectors, atol=1e-6)


def gradients_of(golden: Golden, opt_state: tuple, params: dict) -> dict[str, np.ndarray]:
    """The first step's gradients, without weight decay, from Adam's first moment: (1 - beta1) * (g + decay * w)."""
    moments = next(part.mu for part in opt_state if hasattr(part, 'mu'))
    o = golden.config.optimizer
    gradients = jax.tree.map(lambda m, w: np.asarray(m) / (1 - o.beta1) - o.weight_decay * np.asarray(w), moments, params)
    return write_networks(golden.names, gradients)


def test_generator_losses(golden):
    """The TensorFlow release's weighted terms of both directions and its regulariser."""
    stored = golden.below('loss/')
    if not stored:
        pytest.skip('no loss/ in this file: test_steps has its losses')
    generator, discriminator, spectral = golden.read('init/')
    real, config = golden.images(prefix='loss_input'), golden.config
    weights = hyperparameters(config).weights
    after = power_iteration_steps(discriminator, spectral, 1)

    @jax.jit
    def objective(generator: dict, real: dict) -> dict:
        outputs = generate(golden.networks, config, generator, real)
        return generator_objective(
            generator, outputs, golden.networks, config, weights, real, discriminator, after, DiffAugment((), None, None)
        )[1]

    m, w = objective(generator, real), config.loss
    ours = {
        'Generator_loss': m['G'],
        'reg_generator': config.optimizer.weight_decay * losses.kernel_l2(generator),
        'reg_discriminator': config.optimizer.weight_decay * losses.kernel_l2(discriminator),
    }
    for domain, other in (('A', 'B'), ('B', 'A')):
        terms = {
            'gan': w.adversarial_weight * sum(m[f'G_{kind}_{reach}{domain}'] for kind in ('ad', 'adcam') for reach in 'GL'),
            # the release books the cycle of the other domain here
            'cycle': w.cycle_weight * m[f'G_recon_{other}'],
            'identity': w.identity_weight * m[f'G_id_{domain}'],
            'cam': w.cam_weight * m[f'G_cam_{domain}'],
        }
        ours |= {f'G_{domain}_{name}': value for name, value in terms.items()} | {f'G_{domain}_loss': sum(terms.values())}
    assert_close(ours, stored, rtol=TENSORFLOW_LOSS)
