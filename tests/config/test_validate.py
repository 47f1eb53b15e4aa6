"""Configs that cannot work are refused in one line that names the field, its value and a hint."""

import pytest

from tests.helpers.small import default_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(model__reference='torch'), "model.reference='torch'"),
        (dict(data__image_size=250), 'multiple of 4'),
        (dict(data__image_size=252, model__n_down=3), 'a multiple of 8 from 32 on'),
        (dict(data__image_size=24, model__n_down=3, model__n_layers_global=4, model__n_layers_local=3), 'from 32 on'),
        (dict(model__mlp_pool='33', model__n_down=3), 'up to 32'),
        (
            dict(data__image_size=252, model__pixel_unshuffle=2),
            'with model.pixel_unshuffle=2 does not work; it has to be a multiple of 8 from 32 on: the generator halves',
        ),
        (dict(model__n_down=4), 'model.n_down=4'),
        (dict(model__pixel_unshuffle=4), 'model.pixel_unshuffle=4'),
        (dict(model__stem_kernel=4), 'model.stem_kernel=4'),
        (dict(model__n_down=3, model__decoder_norm='gn', model__ch=6), 'a divisor of its 48 channels'),
        (dict(distill__teacher='emoji'), 'loss.cycle_weight=10.0 with distill.teacher'),
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
        (dict(data__load_size=255), 'data.load_size=255 with data.image_size=256'),
        (dict(optimizer__eps_mode='never'), "optimizer.eps_mode='never'"),
        (dict(optimizer__learning_rate=float('inf')), 'optimizer.learning_rate=inf'),
        (dict(training__steps=50_000_000), 'below 42949672 with 100 decay_epochs'),
        (dict(optimizer__weight_decay_mode='adamw'), 'weight_decay_mode'),
        (dict(model__decoder_norm='bn'), "model.decoder_norm='bn'"),
        (dict(model__up_norm='adalin'), "model.up_norm='adalin'"),
        (dict(model__decoder_norm='gn', model__ch=12), 'a divisor of its 48 channels, such as 16'),
        (dict(model__up_norm='gn', model__ch=12), 'model.norm_groups=32 with model.up_norm=gn and model.ch=12'),
        (dict(model__decoder_norm='adain', model__mlp_pool='full'), 'there is no MLP'),
        (dict(model__generator_cam=False), 'loss.cam_weight=1000.0 with model.generator_cam=False'),
        (dict(model__generator_cam=False, loss__cam_weight=0.0, loss__cam_weight_A2B=5.0), 'loss.cam_weight_A2B=5'),
        (dict(loss__adversarial='wgan'), "loss.adversarial='wgan'"),
        (dict(loss__adversarial='wgan-gp', loss__gradient_penalty_weight=0.0), 'loss.gradient_penalty_weight=0.0'),
        (dict(loss__adversarial='dragan', training__accumulate=2, data__batch_size=2), 'the whole batch'),
        (dict(loss__cycle_weight_B2A=-1.0), 'loss.cycle_weight_B2A=-1.0'),
        (dict(training__n_critic=0), 'training.n_critic=0'),
        (dict(training__ema_warmup=True), 'no average to warm up'),
        (dict(optimizer__decay='step'), "optimizer.decay='step'"),
        (dict(optimizer__batch_scaling='log'), "optimizer.batch_scaling='log'"),
        (dict(optimizer__clip_norm=-1.0), 'optimizer.clip_norm=-1.0'),
        (dict(optimizer__learning_rate_D=0.0), 'optimizer.learning_rate_D=0.0'),
    ],
)
def test_settings_that_cannot_work(fields, message):
    with pytest.raises(UserError) as error:
        resolve(default_config(**fields))
    assert message in str(error.value) and '\n' not in str(error.value)


def test_domains_of_other_channels_work_without_identity_and_cam():
    resolve(default_config(data__channels_A=1, loss__identity_weight=0.0, loss__cam_weight=0.0))
