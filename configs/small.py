"""Your own images at 64 to 128 pixels in hours on a CPU, with a narrower network than the paper's.

    python -m ugatit_jax.main --config=configs/small.py --workdir=runs/small --config.data.source=folder:PATH
    ... --config.data.image_size=128 --config.training.steps=100000    # twice the seconds a step, finer images

PATH holds trainA, trainB and, better, testA, testB. Without a data.source it trains on the emoji that come with the package.
On one core of an AMD EPYC a step takes 0.6 s at 64 pixels and 1.2 s at 128, so 20,000 steps are 3.3 and 6.7 hours
(docs/training.md, "How long on what"). Look at runs/small/report.html while it trains. It can be stopped at any time:
the same command goes on.
"""

from ml_collections import config_dict

from ugatit_jax.config import default


def get_config() -> config_dict.ConfigDict:
    """The default config at 64x64 with half of the channels and blocks."""
    config = default.get_config()
    config.data.source = 'emoji'  # needs no download: to try it out
    config.data.image_size = 64  # up to 128 in hours on a CPU
    config.model.ch = 32  # half of the paper's: a quarter of its time
    config.model.n_res = 2  # small images need no larger receptive field
    config.model.n_layers_global = 6  # the paper's 7 needs 96 pixels
    config.loss.cam_weight = 50.0  # at the paper's 1000 runs of this length hardly change the images
    config.optimizer.learning_rate = 2e-4  # a short run needs a higher rate than the paper's
    config.training.steps = 20_000  # a night on a CPU; more is better, up to 100,000
    config.training.ema_decay = 0.999  # averaged weights give calmer images
    config.training.ema_warmup = True  # ... from the first steps on
    config.training.checkpoint_every = 1_000  # some minutes: what a killed run loses at most
    config.training.preview_every = 500  # as the run is short
    config.evaluation.every = 1_000  # as the run is short
    return config
