"""Cat faces <-> dog faces, 256x256, the paper's light model.

    python -m ugatit_jax.main --config=configs/cat2dog.py --workdir=runs/cat2dog
    ... --config.data.source=folder:PATH    # your own trainA, trainB, testA, testB

The paper took the DRIT set (771 cats, 1264 dogs, 100 + 100 to test): download it and name its folder. The default here
needs no account: Oxford-IIIT Pet through TFDS, cats and dogs cut to their head boxes.
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default on Oxford-IIIT Pet."""
    config = default.get_config()
    config.data.source = 'tfds:oxford_iiit_pet'
    return config
