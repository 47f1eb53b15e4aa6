"""The norms of the paper's ablations against direct formulas, and what they leave of a generator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers.small import small_generator
from ugatit_jax.models.adalin import adalin
from ugatit_jax.models.decoder_norm import AdaptiveNorm, LearnedNorm, feature_statistics, group_norm, groups_of


def draw(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(1.5, 2.0, shape))


@pytest.mark.parametrize('ddof', [0, 1])
@pytest.mark.parametrize('groups', [1, 2, 3, 6])
def test_group_norm_is_its_formula(groups, ddof):
    with jax.enable_x64(True):
        x, gamma, beta = draw(0, 2, 3, 4, 6), draw(1, 2, 1, 1, 6), draw(2, 2, 1, 1, 6)
        cells = np.asarray(x).reshape(2, 3, 4, groups, -1)
        mean, variance = cells.mean((1, 2, 4), keepdims=True), cells.var((1, 2, 4), keepdims=True, ddof=ddof)
        expected = gamma * ((cells - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape) + beta
        np.testing.assert_allclose(group_norm(x, groups, gamma, beta, ddof), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('kind, rho', [('in', 1.0), ('ln', 0.0)])
def test_in_and_ln_are_adalin_with_rho_fixed(kind, rho):
    """Up to the variance that AdaLIN divides by n - ddof of its own."""
    x, (gamma, beta) = draw(0, 2, 4, 4, 6).astype(jnp.float32), draw(1, 2, 2, 6)
    expected = adalin(x, jnp.full(6, rho), gamma[:, None, None], beta[:, None, None], ddof=1)
    norm = AdaptiveNorm(groups_of(kind, 3), ddof=1)
    assert not norm.init(jax.random.key(0), x, gamma, beta)  # nothing to learn, so no rho either
    np.testing.assert_allclose(norm.apply({}, x, gamma, beta), expected, rtol=1e-4, atol=1e-4)


def test_adain_gives_features_the_statistics_of_others():
    style, x = draw(0, 2, 5, 4, 3), draw(1, 2, 6, 6, 3)
    out = AdaptiveNorm(groups_of('adain', 0), 0).apply({}, x, *feature_statistics(style))
    np.testing.assert_allclose(out.mean((1, 2)), style.mean((1, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(out.std((1, 2)), style.std((1, 2)), rtol=1e-4, atol=1e-4)


def test_norms_of_up_sampling_stages_learn_an_affine_map_per_channel():
    x = draw(0, 2, 4, 4, 6)
    for kind in ('in', 'ln', 'gn'):
        norm = LearnedNorm(groups_of(kind, 2), 0)
        params = norm.init(jax.random.key(0), x)['params']
        assert {name: value.tolist() for name, value in params.items()} == {'gamma': [1] * 6, 'beta': [0] * 6}
        changed = norm.apply({'params': {'gamma': jnp.full(6, 2.0), 'beta': jnp.arange(6.0)}}, x)
        np.testing.assert_allclose(changed, 2 * norm.apply({'params': params}, x) + jnp.arange(6.0), rtol=1e-4, atol=1e-4)


def parameters(**fields) -> tuple[set[str], object]:
    """Paths of a generator's parameters, and its output's shapes."""
    module = small_generator(**fields)
    out, variables = jax.eval_shape(lambda: module.init_with_output(jax.random.key(0), jnp.zeros((2, 32, 32, 3))))
    paths = {'/'.join(str(key.key) for key in path) for path, _ in jax.tree.leaves_with_path(variables['params'])}
    return paths, out


def test_no_row_keeps_parameters_that_it_does_not_use():
    plain, _ = parameters()
    rho = {path for path in plain if path.endswith('rho')}
    decoder, up = ({path for path in rho if path.startswith(part)} for part in ('decoder', 'up_norm'))
    assert len(decoder) == len(up) == 2
    for kind in ('in', 'ln', 'gn'):
        assert parameters(model__decoder_norm=kind, model__norm_groups=4)[0] == plain - decoder
        assert parameters(model__up_norm=kind, model__norm_groups=4)[0] == plain - up
    mlp = {path for path in plain if path.startswith(('mlp', 'gamma', 'beta'))}
    assert len(mlp) == 8 and parameters(model__decoder_norm='adain')[0] == plain - decoder - mlp
    cam = {path for path in plain if path.startswith('cam')}
    without, out = parameters(model__generator_cam=False, loss__cam_weight=0.0)
    assert cam and without == plain - cam
    assert out.heatmap is None and out.cam_logit is None and out.image.shape == (2, 32, 32, 3)
