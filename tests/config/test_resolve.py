"""What a reference fills in, and fields that have no effect."""

import pytest

from configs import small
from tests.helpers.small import default_config
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.resolve import resolve


def test_reference_fills_what_is_not_set():
    paper, pytorch = resolve(default_config()), resolve(default_config(model__reference='pytorch'))
    assert (paper.model.rho_init, paper.model.rho_smoothing, paper.model.variance_ddof) == (1.0, 0.1, 0)
    assert (pytorch.model.rho_init, pytorch.model.rho_smoothing, pytorch.model.variance_ddof) == (0.9, 0.0, 1)
    assert (paper.model.patch_padding, pytorch.model.patch_padding) == ((1, 2), (1, 1))
    assert (paper.optimizer.weight_decay_mode, pytorch.optimizer.weight_decay_mode) == ('kernel_l2', 'coupled')
    assert resolve(default_config(model__n_res=2)).model.mlp_width == 128
    for group in (paper.model, paper.optimizer, paper.loss):
        assert [name for name, value in group.items() if value is None] in (
            [],
            ['learning_rate_D'],
            [name for name in paper.loss if name.endswith(('2A', '2B', 'penalty_weight'))],
        )


@pytest.mark.parametrize('size', [64, 96, 128])
def test_the_small_config_works_at_the_sizes_that_it_names(size):
    config = small.get_config()
    config.data.image_size = size
    assert resolve(config).training.steps * 0.6 < 4 * 3600  # hours on a CPU at 64 pixels, by docs/training.md


def test_a_set_field_wins_over_the_reference():
    c = resolve(default_config(model__reference='pytorch', model__rho_init=0.5, model__instance_norm_affine=True))
    assert c.model.rho_init == 0.5 and c.model.instance_norm_affine and not c.model.generator_bias


def test_gradient_penalties_weigh_10_unless_set_and_nothing_where_there_are_none():
    assert resolve(default_config(loss__adversarial='wgan-lp')).loss.gradient_penalty_weight == 10
    assert (
        resolve(default_config(loss__adversarial='dragan', loss__gradient_penalty_weight=1.0)).loss.gradient_penalty_weight
        == 1
    )
    assert resolve(default_config()).loss.gradient_penalty_weight is None


@pytest.mark.parametrize(
    'fields, message',
    [
        (dict(model__decoder_norm='in', model__rho_init=0.5), 'model.rho_init=0.5 has no effect with model.decoder_norm=in'),
        (dict(model__decoder_norm='adain', model__mlp_width=8), 'model.mlp_width=8 has no effect'),
        (
            dict(model__generator_cam=False, model__discriminator_cam=False, loss__cam_weight=0.0, model__cam_bias=True),
            'model.cam_bias=True has no effect with no CAM anywhere',
        ),
        (dict(augment__crop=False, data__load_size=286), 'data.load_size=286 has no effect with augment.crop=False'),
        (dict(model__discriminator_cam=False, model__cam_attention_normalized=True), 'with model.discriminator_cam=False'),
        (
            dict(loss__adversarial='hinge', loss__gradient_penalty_weight=10.0),
            'loss.gradient_penalty_weight=10.0 has no effect with loss.adversarial=hinge',
        ),
        (dict(optimizer__decay='cosine', optimizer__decay_epochs=100), 'optimizer.decay_epochs=100 has no effect'),
        (dict(optimizer__decay='cosine', optimizer__decay_start=0.2), 'optimizer.decay_start=0.2 has no effect'),
    ],
)
def test_fields_without_effect_are_refused(fields, message):
    with pytest.raises(UserError) as error:
        resolve(default_config(**fields))
    assert message in str(error.value) and 'has no effect' in str(error.value) and '\n' not in str(error.value)
