"""The rows of configs/ablation.py, on large and small configs."""

import pytest
from ml_collections import ConfigDict

from configs import ablation, default
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.config_files import shipped_configs
from ugatit_jax.config.resolve import resolve


@pytest.mark.parametrize('row', ablation.ROWS)
def test_every_row_of_the_ablation_works_on_large_and_small_configs(row):
    for base in ablation.BASES:
        resolved = resolve(ablation.get_config(f'{row},{base}'))
        again = resolve(ConfigDict(resolved))
        assert again == resolved  # what is stored is a config, too


def test_rows_are_of_every_config_that_trains_by_itself():
    assert set(ablation.BASES) == shipped_configs().keys() - {'ablation', 'distill'}


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
