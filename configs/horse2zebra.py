"""Horses <-> zebras, 256x256, the paper's light model; 1067 + 1334 images to train, 120 + 140 to test.

python -m ugatit_jax.main --config=configs/horse2zebra.py --workdir=runs/horse2zebra
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default on CycleGAN's set, through TFDS."""
    config = default.get_config()
    config.data.source = 'tfds:cycle_gan/horse2zebra'
    return config
