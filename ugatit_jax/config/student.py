"""The config of a small student of a trained teacher: the teacher's data, a thin network, losses that compare with it."""

from ml_collections import ConfigDict

from ugatit_jax.config import default
from ugatit_jax.config.derived import LOSS_WEIGHTS

# of model: what the student's generators see and how its discriminators judge stays as it was for the teacher
MODEL_FIELDS = ('reference', 'stem_norm', 'n_layers_global', 'n_layers_local', 'discriminator_cam', 'spectral_norm')


def student_config(teacher: ConfigDict, path: str) -> ConfigDict:
    """The config of a student of the teacher at `path` with this resolved config, not resolved."""
    config = default.get_config()
    config.distill.teacher = path
    with config.ignore_type():  # a stored config has lists for tuples
        for group in ('data', 'augment'):
            config[group].update(teacher[group].to_dict())
        for name in MODEL_FIELDS:
            config.model[name] = teacher.model[name]
    config.data.background = tuple(teacher.data.background)
    if teacher.data.load_size is not None:  # with the same margin, so that another image_size is refused as such
        margin = teacher.data.load_size - teacher.data.image_size
        config.data.load_size = config.data.get_ref('image_size') + margin

    # the network: docs/distill.md has others and what they cost
    config.model.ch = 32
    config.model.n_res = 2
    config.model.separable = True
    config.model.stem_kernel = 3
    config.model.pixel_unshuffle = 2  # maps of full resolution take most of the time of a thin network
    # residual blocks at a quarter of the sides, as the teacher's: at an eighth, images are further off
    config.model.n_down = 1
    config.model.image_skip = True  # without it rare colours and fine lines come last
    config.model.generator_cam = False  # a teacher's images say where to look
    config.model.weight_init = 'torch'  # N(0, 0.02) of 3x3 kernels of one channel is near the norms' epsilon

    for name in LOSS_WEIGHTS:  # without the adversarial one, too, a step needs no discriminators and takes half of the time
        config.loss[name] = 0.0

    config.optimizer.learning_rate = 2e-3  # a thin network takes twenty times the paper's
    config.optimizer.learning_rate_D = 1e-4  # the paper's: at 2e-3 discriminators answer 0.5 to every image within 200 steps
    config.optimizer.decay = 'cosine'
    config.optimizer.weight_decay = 0.0
    config.training.steps = 20_000
    config.training.ema_decay = 0.999
    config.training.ema_warmup = True
    config.training.checkpoint_every = config.evaluation.every = 1000
    return config
