"""Translates drawn faces in minutes on two CPU cores: round, striped, pointed ears <-> long, spotted, hanging ears.

    python -m ugatit_jax.main --config=configs/demo.py --workdir=runs/demo

A narrow network on small pictures, on data that is drawn on the fly.
"""
from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default at 64 pixels and a sixth of the width."""
    config = default.get_config()
    config.data.image_size = 64  # small enough for two CPU cores
    config.data.batch_size = 1
    config.model.ch = 12
    config.model.n_res = 2
    config.model.n_layers_global = 6  # the paper's 7 needs 96 pixels
    config.optimizer.learning_rate = 5e-4  # a short run needs a higher rate than the paper's
    config.training.steps = 600
    config.training.log_every = 20
    config.training.checkpoint_every = 200
    config.training.preview_every = 100
    return config
