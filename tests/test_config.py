"""What a config is refused for, and what a reference fills in."""
import pytest

from configs import default
from ugatit_jax.config import resolve
from ugatit_jax.errors import UserError


def config(**fields):
    c = default.get_config()
    for name, value in fields.items():
        group, field = name.split('__')
        c[group][field] = value
    return c


def test_reference_fills_what_is_not_set():
    paper, pytorch = resolve(config()), resolve(config(model__reference='pytorch'))
    assert (paper.model.rho_init, paper.model.rho_smoothing, paper.model.variance_ddof) == (1.0, 0.1, 0)
    assert (pytorch.model.rho_init, pytorch.model.rho_smoothing, pytorch.model.variance_ddof) == (0.9, 0.0, 1)
    assert (paper.model.patch_padding, pytorch.model.patch_padding) == ((1, 2), (1, 1))
    assert (paper.optimizer.weight_decay_mode, pytorch.optimizer.weight_decay_mode) == ('kernel_l2', 'coupled')
    assert resolve(config(model__n_res=2)).model.mlp_width == 128
    assert all(value is not None for group in (paper.model, paper.optimizer) for value in group.values())


def test_a_set_field_wins_over_the_reference():
    c = resolve(config(model__reference='pytorch', model__rho_init=0.5, model__instance_norm_affine=True))
    assert c.model.rho_init == 0.5 and c.model.instance_norm_affine and not c.model.generator_bias


@pytest.mark.parametrize('fields, message', [
    (dict(model__reference='torch'), "model.reference='torch'"),
    (dict(data__image_size=250), 'multiple of 4'),
    (dict(data__image_size=64), 'at least 96 for model.n_layers_global=7, or model.n_layers_global=6'),
    (dict(data__image_size=16, model__n_layers_global=4, model__n_layers_local=5), 'model.n_layers_local=4'),
    (dict(model__mlp_pool='65'), 'up to 64'),
    (dict(model__mlp_pool='light'), "'full', '1'"),
    (dict(data__channels_A=1), 'loss.identity_weight=0 and loss.cam_weight=0'),
    (dict(training__steps=0), 'training.steps=0'),
    (dict(training__compute_dtype='float64'), 'compute_dtype'),
    (dict(loss__cycle_weight=-1.0), 'loss.cycle_weight=-1.0'),
    (dict(optimizer__beta1=1.0), 'optimizer.beta1=1.0'),
    (dict(training__ema_decay=1.0), 'training.ema_decay=1.0'),
    (dict(model__rho_init=1.5), 'model.rho_init=1.5'),
    (dict(model__patch_padding=(1,)), 'model.patch_padding=(1,)'),
    (dict(model__down_padding=(3, 3)), 'model.down_padding=(3, 3)'),
    (dict(model__down_padding=(0, 0)), '1 or 2 in sum'),
    (dict(data__workers=-1), 'data.workers=-1'),
    (dict(optimizer__learning_rate=float('inf')), 'optimizer.learning_rate=inf'),
    (dict(training__steps=50_000_000), 'below 42949672 with 100 decay_epochs'),
    (dict(optimizer__weight_decay_mode='adamw'), 'weight_decay_mode'),
])
def test_refused(fields, message):
    with pytest.raises(UserError) as error:
        resolve(config(**fields))
    assert message in str(error.value) and '\n' not in str(error.value)


def test_domains_of_other_channels_work_without_identity_and_cam():
    resolve(config(data__channels_A=1, loss__identity_weight=0.0, loss__cam_weight=0.0))
