"""A workdir as a training run leaves it, without checkpoints."""

import json
import pathlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from configs import default
from ugatit_jax.checkpoint.compatibility import as_json
from ugatit_jax.config.resolve import resolve
from ugatit_jax.report import history

LAYERS = ('decoder_0_norm_0', 'up_norm_1')
COLOURS = {0: (200, 30, 30), 50: (30, 200, 30), 100: (30, 30, 200)}


def config_of(**training: object) -> dict:
    """A resolved config as a run records it."""
    config = default.get_config()
    config.training.update(training)
    return as_json(resolve(config))


def row_of(step: int) -> dict:
    """Every kind of metric at a step."""
    terms = [
        'D',
        'G',
        'D_A',
        'D_B',
        'G_A',
        'G_B',
        'D_ad_GA',
        'D_cam_LB',
        'G_ad_GA',
        'G_adcam_LB',
        'G_recon_A',
        'G_id_B',
        'G_cam_A',
        'learning_rate',
        'grad_norm_genA2B',
        'grad_norm_disLB',
        'images_per_second',
        'eval_kid_A2B',
        'something_else',
    ]
    row = {'step': step} | {name: 1 + i + np.sin(step + i) for i, name in enumerate(terms)} | {'data_wait': 0.125}
    for layer in LAYERS:
        row |= {f'rho_{kind}/genA2B/{layer}': value for kind, value in (('min', 0.1), ('mean', 0.5), ('max', 0.9))}
    return row


def short_row_of(step: int) -> dict:
    """One metric, where the curves do not matter."""
    return {'step': step, 'D_A': 1 / step}


def make_workdir(folder: pathlib.Path, steps: range, row: Callable[[int], dict] = row_of) -> pathlib.Path:
    """A workdir of a run to step 200 that is at steps[-1]; row makes a row of metrics.jsonl."""
    (folder / 'previews').mkdir(parents=True)
    (folder / 'metrics.jsonl').write_text(''.join(json.dumps(row(step)) + '\n' for step in steps))
    for step, colour in COLOURS.items():
        Image.new('RGB', (120, 80), colour).save(folder / 'previews' / f'{step:08d}.png')
    history.append(
        str(folder),
        0,
        'started',
        config=config_of(steps=200),
        command='python -m ugatit_jax.main --config=<b> --workdir=run',
        versions={'jax': '1.2.3'},
        devices='4 x TPU',
    )
    return folder
