"""Horses <-> zebras, 256x256, the paper's full model.

    python -m ugatit_jax.main --config=configs/horse2zebra.py --workdir=runs/horse2zebra

1067 + 1334 training images, 120 + 140 test images. TFDS downloads the data set, which is CycleGAN's.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config on CycleGAN's data set, through TFDS."""
    config = default.get_config()
    config.model.mlp_pool = 'full'  # the paper's numbers are of it: 671 M parameters. '1' is the light model, 134 M
    config.data.source = 'tfds:cycle_gan/horse2zebra'
    return config
