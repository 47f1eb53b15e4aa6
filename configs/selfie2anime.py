"""Selfies <-> anime faces, 256x256, the paper's light model; 3400 + 3400 to train, 100 + 100 to test.

    python -m ugatit_jax.main --config=configs/selfie2anime.py --workdir=runs/selfie2anime

The authors publish the set beside their code; TFDS does not have it. Unpack it to datasets/selfie2anime, or name another
place with --config.data.source=folder:PATH.
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default on the authors' set."""
    config = default.get_config()
    config.data.source = 'folder:datasets/selfie2anime'
    return config
