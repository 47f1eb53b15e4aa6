"""Photographs of faces <-> painted portraits, 256x256, the paper's full model.

    python -m ugatit_jax.main --config=configs/photo2portrait.py --workdir=runs/photo2portrait

6452 + 1811 training images, 751 + 400 test images. The data set is DRIT's, and not in TFDS: unpack it to
datasets/photo2portrait, or name another folder with --config.data.source=folder:PATH.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config on DRIT's data set, from a folder."""
    config = default.get_config()
    config.model.mlp_pool = 'full'  # the paper's numbers are of it: 671 M parameters. '1' is the light model, 134 M
    config.data.source = 'folder:datasets/photo2portrait'
    return config
