"""Photographs <-> paintings by van Gogh, 256x256, the paper's light model; 6287 + 400 to train, 751 + 400 to test.

python -m ugatit_jax.main --config=configs/photo2vangogh.py --workdir=runs/photo2vangogh
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default on CycleGAN's set, through TFDS, with its two domains exchanged."""
    config = default.get_config()
    config.data.source = 'tfds:cycle_gan/vangogh2photo'
    config.data.swap = True  # A is photographs, as in the paper
    return config
