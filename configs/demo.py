"""Synthetic faces, 64x64, in minutes on two CPU cores: round, striped, pointed ears <-> long, spotted, hanging ears.

    python -m ugatit_jax.main --config=configs/demo.py --workdir=runs/demo

A narrow network on small images that are drawn on the fly. Look at runs/demo/report.html and runs/demo/previews.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config at 64x64 with a fifth of the channels."""
    config = default.get_config()
    config.data.image_size = 64  # small enough for two CPU cores
    config.model.ch = 12  # as image_size
    config.model.n_res = 2  # as image_size
    config.model.n_layers_global = 6  # the paper's 7 needs 96 pixels
    config.model.stem_norm = False  # this and the next three: backgrounds and poses are kept better, docs/study.md
    config.loss.cam_weight = 1.0  # at the paper's 1000 this run is too short for the images to change
    config.loss.cycle_weight = 20.0
    config.loss.identity_weight = 20.0
    config.optimizer.learning_rate = 5e-4  # a short run needs a higher rate than the paper's
    config.training.steps = 2000  # the ears change by then
    config.training.ema_decay = 0.99  # the weights still move at the end: their average gives better images
    config.training.log_every = 50  # this and the next two: as the run is short
    config.training.checkpoint_every = 500
    config.training.preview_every = 250
    return config
