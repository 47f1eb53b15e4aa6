"""Train steps with other losses, critics and networks than the paper's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.small import random_batch, small_config
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.hyperparameters import hyperparameters
from ugatit_jax.training.state import TrainState, init_state
from ugatit_jax.training.step import make_train_step, update_ema


def compiled(**fields):
    """(state, step) of a tiny config."""
    config = small_config(**fields)
    networks = make_networks(config)
    step = jax.jit(make_train_step(networks, config))

    def run(state, batch):
        state, metrics = step(state, batch, hyperparameters(config))
        return state, {name: float(value) for name, value in metrics.items()}

    return init_state(networks, config), run


def together(*batches: dict) -> dict:
    """Several draws in one batch: an example's lie together."""
    return jax.tree.map(lambda *x: jnp.stack(x, axis=1).reshape(-1, *x[0].shape[1:]), *batches)


def assert_equal(a, b, atol: float = 1e-6) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, atol=atol)


def largest_change(a, b) -> float:
    return max(float(abs(x - y).max()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.mark.slow  # compiles two steps
def test_every_critic_update_has_its_own_batch_and_so_have_the_generators():
    """Against the ordinary step, of which the discriminators' half is taken; without u and v, which go on alone."""
    state, step = compiled(model__spectral_norm=False)
    batches = [random_batch(small_config(), seed) for seed in range(3)]
    after, critics = state, []
    for batch in batches[:2]:
        moved, metrics = step(after, batch)
        after = after.replace(discriminator=moved.discriminator, discriminator_opt=moved.discriminator_opt)
        critics.append(metrics)
    _, on_last = step(state, batches[2])

    _, several = compiled(model__spectral_norm=False, training__n_critic=2, training__separate_batches=True)
    new, metrics = several(state, together(*batches))
    assert_equal(new.discriminator, after.discriminator, atol=1e-5)
    for name in ('D', 'D_ad_GA', 'D_cam_LB'):
        assert metrics[name] == pytest.approx(critics[1][name], rel=1e-4) and abs(metrics[name] - critics[0][name]) > 1e-6
    for name in ('G_recon_A', 'G_id_B', 'G_cam_A'):  # what does not depend on the discriminators
        assert metrics[name] == pytest.approx(on_last[name], rel=1e-4)
    counts = [int(part.count) for opt in (new.generator_opt, new.discriminator_opt) for part in opt if hasattr(part, 'mu')]
    assert counts == [1, 2] and int(new.step) == 1


def test_wgan_without_cam_of_several_critic_updates_on_batches_of_their_own():
    """What is not there has no metric, gradient penalties have, and everything else that is off by default is on."""
    state, step = compiled(
        loss__adversarial='wgan-gp',
        model__discriminator_cam=False,
        model__generator_cam=False,
        loss__cam_weight=0.0,
        model__decoder_norm='adain',
        model__up_norm='gn',
        model__norm_groups=2,
        optimizer__clip_norm=1.0,
        optimizer__learning_rate_D=4e-4,
        optimizer__decay='cosine',
        optimizer__batch_scaling='sqrt',
        data__batch_size=4,
        training__ema_decay=0.9,
        training__ema_warmup=True,
        training__n_critic=2,
        training__separate_batches=True,
        loss__adversarial_weight_A2B=3.0,
    )
    batches = [random_batch(small_config(), seed) for seed in range(3)]
    new, metrics = step(state, together(*batches))
    again, _ = step(state, together(*batches))
    assert all(np.isfinite(value) for value in metrics.values())
    assert not [name for name in metrics if 'cam' in name]
    assert metrics['learning_rate'] == pytest.approx(2e-4) and metrics['learning_rate_D'] == pytest.approx(8e-4)
    expected = 3 * sum(metrics[f'D_ad_{reach}B'] + 10 * metrics[f'D_gp_{reach}B'] for reach in 'GL')
    assert metrics['D_B'] == pytest.approx(expected, rel=1e-5)
    assert metrics['G_B'] == pytest.approx(
        3 * (metrics['G_ad_GB'] + metrics['G_ad_LB']) + 10 * (metrics['G_recon_B'] + metrics['G_id_B']), rel=1e-5
    )
    assert_equal(again.discriminator, new.discriminator, atol=0)  # the points follow from the step's key
    counts = [int(part.count) for opt in (new.generator_opt, new.discriminator_opt) for part in opt if hasattr(part, 'mu')]
    assert counts == [1, 2] and int(new.step) == 1
    assert largest_change(state.generator, new.generator) == pytest.approx(2e-4, rel=0.01)  # Adam's first step is the rate
    assert 1.01 * 8e-4 < largest_change(state.discriminator, new.discriminator) < 1.2 * 2 * 8e-4  # two updates
    # another batch in place of the first, the second, the third: who sees it?
    for draw in range(3):
        other, changed = step(state, together(*batches[:draw], random_batch(small_config(), 9), *batches[draw + 1 :]))
        moved = largest_change(new.discriminator, other.discriminator) > 0
        assert moved == (draw < 2), draw
        assert (changed['D_ad_GA'] != metrics['D_ad_GA']) == (draw < 2), draw  # of the last update, after the first
        assert (changed['G_recon_A'] != metrics['G_recon_A']) == (draw == 2), draw
    assert_equal(new.ema, jax.tree.map(lambda a, b: 0.1 * a + 0.9 * b, state.generator, new.generator), atol=1e-6)


def test_the_average_forgets_faster_at_the_start():
    config = small_config(training__ema_decay=0.99, training__ema_warmup=True)
    state = init_state_like(step=0)
    decays = [
        float(1 - update_ema(config, state.replace(step=jnp.asarray(step)), {'w': jnp.ones(())})['w'])
        for step in (0, 90, 10_000)
    ]
    np.testing.assert_allclose(decays, [0.1, 0.91, 0.99], rtol=1e-5)


def init_state_like(step: int):
    """A state with one averaged weight that is 0."""
    return TrainState(
        step=jnp.asarray(step),
        key=None,
        generator={},
        discriminator={},
        spectral={},
        generator_opt=(),
        discriminator_opt=(),
        ema={'w': jnp.zeros(())},
    )


OPTIONS = [
    *({'loss__adversarial': kind} for kind in ('gan', 'hinge', 'wgan-lp', 'dragan')),
    *({'model__decoder_norm': kind, 'model__norm_groups': 2} for kind in ('in', 'ln', 'gn')),
    dict(model__generator_cam=False, loss__cam_weight=0.0),
    dict(model__discriminator_cam=False),
    dict(model__reference='pytorch', model__spectral_norm=False, model__discriminator_cam=False),
    dict(model__reference='pytorch', loss__adversarial='wgan-gp'),
    dict(training__n_critic=3),
    dict(training__separate_batches=True, augment__diffaugment='color,translation,cutout'),
    dict(
        data__batch_size=4, training__n_critic=2, training__accumulate=2, training__remat=True, loss__adversarial='wgan-gp'
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize('fields', OPTIONS, ids=lambda fields: ' '.join(f'{k}={v}' for k, v in fields.items()))
def test_two_steps_with_every_option_are_finite_and_move_every_kernel(fields):
    state, step = compiled(**fields)
    draws = fields.get('training__n_critic', 1) + fields.get('training__separate_batches', False)
    new, size = state, fields.get('data__batch_size', 2)
    for k in range(2):
        new, metrics = step(new, together(*(random_batch(small_config(), k * draws + draw, size) for draw in range(draws))))
    assert all(np.isfinite(value) for value in metrics.values())
    for before, after in ((state.generator, new.generator), (state.discriminator, new.discriminator)):
        for (path, a), b in zip(jax.tree.leaves_with_path(before), jax.tree.leaves(after), strict=True):
            assert np.isfinite(b).all() and (path[-1].key != 'kernel' or not np.array_equal(a, b)), path


@pytest.mark.slow
def test_microbatches_have_the_penalties_of_the_whole():
    fields = dict(loss__adversarial='wgan-gp', data__batch_size=4)
    (state, whole), (_, accumulated) = compiled(**fields), compiled(**fields, training__accumulate=2)
    batch = random_batch(small_config(), 0, 4)
    for name, value in whole(state, batch)[1].items():
        assert accumulated(state, batch)[1][name] == pytest.approx(value, rel=1e-3), name
