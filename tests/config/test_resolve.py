"""What a config is refused for, and what a reference fills in."""

import pytest
from ml_collections import ConfigDict

from configs import ablation, default
from ugatit_jax.config.derived import loss_weight, uses_identity
from ugatit_jax.config.resolve import resolve
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
    for group in (paper.model, paper.optimizer, paper.loss):
        assert [name for name, value in group.items() if value is None] in (
            [],
            ['learning_rate_D'],
            [name for name in paper.loss if name.endswith(('2A', '2B', 'penalty_weight'))],
        )


def test_a_set_field_wins_over_the_reference():
    c = resolve(config(model__reference='pytorch', model__rho_init=0.5, model__instance_norm_affine=True))
    assert c.model.rho_init == 0.5 and c.model.instance_norm_affine and not c.model.generator_bias


@pytest.mark.parametrize(
    'fields, message',
    [
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
        (dict(model__decoder_norm='bn'), "model.decoder_norm='bn'"),
        (dict(model__up_norm='adalin'), "model.up_norm='adalin'"),
        (dict(model__decoder_norm='gn', model__ch=12), 'a divisor of its 48 channels, such as 16'),
        (dict(model__up_norm='gn', model__ch=12), 'model.norm_groups=32 with model.up_norm=gn and model.ch=12'),
        (dict(model__decoder_norm='in', model__rho_init=0.5), 'model.rho_init=0.5 has no effect with model.decoder_norm=in'),
        (dict(model__decoder_norm='adain', model__mlp_pool='full'), 'there is no MLP'),
        (dict(model__decoder_norm='adain', model__mlp_width=8), 'model.mlp_width=8 has no effect'),
        (dict(model__generator_cam=False), 'loss.cam_weight=1000.0 with model.generator_cam=False'),
        (dict(model__generator_cam=False, loss__cam_weight=0.0, loss__cam_weight_A2B=5.0), 'loss.cam_weight_A2B=5'),
        (
            dict(model__generator_cam=False, model__discriminator_cam=False, loss__cam_weight=0.0, model__cam_bias=True),
            'model.cam_bias=True has no effect with no CAM anywhere',
        ),
        (dict(model__spectral_norm=False, model__spectral_in_eval=True), 'model.spectral_in_eval=True has no effect'),
        (dict(model__discriminator_cam=False, model__cam_attention_normalized=True), 'with model.discriminator_cam=False'),
        (dict(loss__adversarial='wgan'), "loss.adversarial='wgan'"),
        (
            dict(loss__adversarial='hinge', loss__gradient_penalty_weight=10.0),
            'loss.gradient_penalty_weight=10.0 has no effect with loss.adversarial=hinge',
        ),
        (dict(loss__adversarial='wgan-gp', loss__gradient_penalty_weight=0.0), 'loss.gradient_penalty_weight=0.0'),
        (dict(loss__adversarial='dragan', training__accumulate=2, data__batch_size=2), 'the whole batch'),
        (dict(loss__cycle_weight_B2A=-1.0), 'loss.cycle_weight_B2A=-1.0'),
        (dict(training__n_critic=0), 'training.n_critic=0'),
        (dict(training__ema_warmup=True), 'no average to warm up'),
        (dict(optimizer__decay='cosine', optimizer__decay_epochs=100), 'optimizer.decay_epochs=100 has no effect'),
        (dict(optimizer__decay='step'), "optimizer.decay='step'"),
        (dict(optimizer__decay='cosine', optimizer__decay_start=0.2), 'optimizer.decay_start=0.2 has no effect'),
        (dict(optimizer__batch_scaling='log'), "optimizer.batch_scaling='log'"),
        (dict(optimizer__clip_norm=-1.0), 'optimizer.clip_norm=-1.0'),
        (dict(optimizer__learning_rate_D=0.0), 'optimizer.learning_rate_D=0.0'),
    ],
)
def test_refused(fields, message):
    with pytest.raises(UserError) as error:
        resolve(config(**fields))
    assert message in str(error.value) and '\n' not in str(error.value)


def test_domains_of_other_channels_work_without_identity_and_cam():
    resolve(config(data__channels_A=1, loss__identity_weight=0.0, loss__cam_weight=0.0))


def test_a_weight_of_one_direction_wins_over_that_of_both():
    c = resolve(config(loss__cycle_weight=5.0, loss__cycle_weight_B2A=2.0, loss__cam_weight_A2B=0.0))
    weights = [loss_weight(c, name, way) for name in ('cycle_weight', 'cam_weight') for way in ('A2B', 'B2A')]
    assert weights == [5, 2, 0, 1000]
    off = {f'loss__{name}_weight_{way}': 0.0 for name in ('identity', 'cam') for way in ('A2B', 'B2A')}
    assert uses_identity(c) and not uses_identity(resolve(config(**off)))


def test_gradient_penalties_weigh_10_unless_set_and_nothing_where_there_are_none():
    assert resolve(config(loss__adversarial='wgan-lp')).loss.gradient_penalty_weight == 10
    assert resolve(config(loss__adversarial='dragan', loss__gradient_penalty_weight=1.0)).loss.gradient_penalty_weight == 1
    assert resolve(config()).loss.gradient_penalty_weight is None


@pytest.mark.parametrize('row', ablation.ROWS)
def test_every_row_of_the_ablation_works_on_large_and_small_configs(row):
    for base in ('selfie2anime', 'demo'):
        resolved = resolve(ablation.get_config(f'{row},{base}'))
        again = resolve(ConfigDict(resolved))
        assert again == resolved  # what is stored is a config, too


def test_rows_change_what_they_are_named_after():
    rows = {row: resolve(ablation.get_config(row)) for row in ablation.ROWS}
    models = {
        row: (c.model.decoder_norm, c.model.up_norm, c.model.generator_cam, c.model.discriminator_cam)
        for row, c in rows.items()
    }
    assert models == {
        'paper': ('adalin', 'lin', True, True),
        'in': ('in', 'in', True, True),
        'ln': ('ln', 'ln', True, True),
        'adain': ('adain', 'in', True, True),
        'gn': ('gn', 'gn', True, True),
        'no_cam': ('adalin', 'lin', False, False),
        'no_generator_cam': ('adalin', 'lin', False, True),
        'no_discriminator_cam': ('adalin', 'lin', True, False),
    }
    assert rows['paper'] == resolve(default.get_config())
    assert rows['no_discriminator_cam'].loss.cam_weight == 1000 and rows['no_cam'].loss.cam_weight == 0


@pytest.mark.parametrize(
    'argument, message',
    [
        ('', "'' is no row; there are paper, in, ln"),
        ('nocam', "'nocam' is no row; there are paper, in, ln"),
        ('in,demos', "'demos' is no config; there are default, demo"),
    ],
)
def test_an_unknown_row_or_config_is_answered_with_those_there_are(argument, message):
    with pytest.raises(UserError) as error:
        ablation.get_config(argument)
    assert message in str(error.value)
