"""Selfies <-> anime faces, 256x256, the paper's full model.

    python -m ugatit_jax.main --config=configs/selfie2anime.py --workdir=runs/selfie2anime

3400 + 3400 training images, 100 + 100 test images. The data set is the authors', published beside their code, and not in
TFDS: unpack it to datasets/selfie2anime, or name another folder with --config.data.source=folder:PATH.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config on the authors' data set, from a folder."""
    config = default.get_config()
    config.model.mlp_pool = 'full'  # the paper's numbers are of it: 671 M parameters. '1' is the light model, 134 M
    config.data.source = 'folder:datasets/selfie2anime'
    return config
