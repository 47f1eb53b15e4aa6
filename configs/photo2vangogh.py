"""Photographs <-> paintings by van Gogh, 256x256, the paper's full model.

    python -m ugatit_jax.main --config=configs/photo2vangogh.py --workdir=runs/photo2vangogh

6287 + 400 training images, 751 + 400 test images. TFDS downloads the data set, which is CycleGAN's vangogh2photo with its
domains swapped.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config on CycleGAN's data set, through TFDS, with its domains swapped."""
    config = default.get_config()
    config.model.mlp_pool = 'full'  # the paper's numbers are of it: 671 M parameters. '1' is the light model, 134 M
    config.data.source = 'tfds:cycle_gan/vangogh2photo'
    config.data.swap = True  # A is photographs, as in the paper
    return config
