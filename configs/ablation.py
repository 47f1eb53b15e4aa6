"""A row of the paper's Table 1 (its ablations) on any other config: ROW, or ROW,CONFIG.

    python -m ugatit_jax.main --config=configs/ablation.py:no_cam,selfie2anime --workdir=runs/no_cam    # as in the paper
    python -m ugatit_jax.main --config=configs/ablation.py:no_cam,demo --workdir=runs/no_cam_demo       # in minutes

All rows, several seeds, one table: launch/ablation.sh. What the norms compute, and why: ugatit_jax/models/decoder_norm.py.
"""

import math

from ml_collections import config_dict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.config_files import load_config_module

ROWS = {  # fields that a row changes
    'paper': {},
    # "only using IN in decoder": in its residual blocks and in its up-sampling stages
    'in': {'model.decoder_norm': 'in', 'model.up_norm': 'in'},
    'ln': {'model.decoder_norm': 'ln', 'model.up_norm': 'ln'},
    # without an adaptive map AdaIN is IN; as it has no MLP, there is no full model of it
    'adain': {'model.decoder_norm': 'adain', 'model.up_norm': 'in', 'model.mlp_pool': '1'},
    'gn': {'model.decoder_norm': 'gn', 'model.up_norm': 'gn'},
    # without CAM in the generators there are no logits for the CAM loss
    'no_cam': {'model.generator_cam': False, 'model.discriminator_cam': False, 'loss.cam_weight': 0.0},
    'no_generator_cam': {'model.generator_cam': False, 'loss.cam_weight': 0.0},
    'no_discriminator_cam': {'model.discriminator_cam': False},
}
BASES = ('default', 'demo', 'small', 'selfie2anime', 'horse2zebra', 'cat2dog', 'photo2portrait', 'photo2vangogh')


def get_config(argument: str = '') -> config_dict.ConfigDict:
    """The config of 'ROW' on the default or of 'ROW,CONFIG'; raises UserError, listing them, for one that is not there."""
    row, _, base = argument.partition(',')
    if row not in ROWS:
        raise UserError(f'--config=configs/ablation.py:{argument}: {row!r} is no row; there are {", ".join(ROWS)}')
    if (base or 'default') not in BASES:
        raise UserError(f'--config=configs/ablation.py:{argument}: {base!r} is no config; there are {", ".join(BASES)}')
    config = load_config_module(base or 'default').get_config()
    config.update_from_flattened_dict(ROWS[row])
    if row == 'gn':  # as many as its authors' 32 where the width allows
        config.model.norm_groups = math.gcd(config.model.norm_groups, config.model.ch)
    return config
