"""Translates drawn faces in minutes on two CPU cores: round, striped, pointed ears <-> long, spotted, hanging ears.

    python -m ugatit_jax.main --config=configs/demo.py --workdir=runs/demo

A narrow network on small images that are drawn on the fly; what to look at is runs/demo/previews.
"""

from ml_collections import config_dict

from configs import default


def get_config() -> config_dict.ConfigDict:
    """The default at 64 pixels and a fifth of the width."""
    config = default.get_config()
    config.data.image_size = 64  # small enough for two CPU cores
    config.model.ch = 12  # likewise
    config.model.n_res = 2  # likewise
    config.model.n_layers_global = 6  # the paper's 7 needs 96 pixels
    config.loss.cam_weight = 50.0  # the paper's 1000 holds the images back for longer than this run lasts
    config.optimizer.learning_rate = 5e-4  # a short run needs a higher rate than the paper's
    config.training.steps = 2000
    config.training.ema_decay = 0.99  # steadier images from a network that is still moving
    config.training.log_every = 50
    config.training.checkpoint_every = 500
    config.training.preview_every = 250
    return config
