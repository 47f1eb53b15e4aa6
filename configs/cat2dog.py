"""Cat faces <-> dog faces, 256x256, the paper's full model.

    python -m ugatit_jax.main --config=configs/cat2dog.py --workdir=runs/cat2dog
    ... --config.data.source=folder:PATH    # your own trainA, trainB, testA, testB

The paper uses DRIT's data set (771 cats, 1264 dogs, 100 + 100 test images): download it and name its folder as above. The
default here is Oxford-IIIT Pet, which TFDS downloads without an account, cropped to the heads of cats and dogs.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config on Oxford-IIIT Pet, through TFDS."""
    config = default.get_config()
    config.model.mlp_pool = 'full'  # the paper's numbers are of it: 671 M parameters. '1' is the light model, 134 M
    config.data.source = 'tfds:oxford_iiit_pet'
    return config
