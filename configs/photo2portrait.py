"""Photographs of faces <-> painted portraits, 256x256, the paper's light model; 6452 + 1811 to train, 751 + 400 to test.

    python -m ugatit_jax.main --config=configs/photo2portrait.py --workdir=runs/photo2portrait

The set is DRIT's; TFDS does not have it. Unpack it to datasets/photo2portrait, or name another place with
--config.data.source=folder:PATH.
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default on DRIT's set."""
    config = default.get_config()
    config.data.source = 'folder:datasets/photo2portrait'
    return config
