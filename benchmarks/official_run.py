r"""Trains the official PyTorch code on the emoji from our first weights, its train loop unchanged, to compare results.

    python -m ugatit_jax.main --config=configs/default.py --workdir=runs/ours --config.data.source=emoji \
      --config.data.image_size=64 --config.data.load_size=72 --config.model.reference=pytorch --config.model.ch=32 \
      --config.model.n_layers_global=6 --config.optimizer.decay=constant --config.evaluation.every=1000   # ours
    python -m benchmarks.official_run --reference=PATH --like=runs/ours --workdir=runs/official --steps=10000 --every=1000

PATH: a checkout of the official code. Networks, sizes, crops, flips, rates and weights are those of the config of --like, a
workdir of ours with model.reference=pytorch and light generators; so are the weights of the first step. Images are read in
an order of its own. Every --every steps it leaves official_params_STEP.pt, in the official format, and continues from the
newest when started again, optimizers included. After the last step each of them is evaluated as ours is, to
evaluation.jsonl. Needs torch.
"""

import argparse
import json
import logging
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict, FrozenConfigDict
from PIL import Image

from benchmarks.common import official_weights
from benchmarks.pytorch_sides import DISCRIMINATORS, GENERATORS, Loader, official
from ugatit_jax.checkpoint.generators import load_generators
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import atomic_file, atomic_write_text
from ugatit_jax.common.images import normalize
from ugatit_jax.common.sharding import make_mesh
from ugatit_jax.config.derived import load_size
from ugatit_jax.convert.read_official import read_official
from ugatit_jax.data import open_datasets
from ugatit_jax.data.sources.open_source import Source, open_source
from ugatit_jax.evaluate.evaluator import make_evaluator
from ugatit_jax.models.networks import make_networks
from ugatit_jax.training.state import init_state

NETWORKS = GENERATORS + DISCRIMINATORS
OFFICIAL_WEIGHTS = {
    'adv_weight': 'adversarial_weight',
    'cycle_weight': 'cycle_weight',
    'identity_weight': 'identity_weight',
    'cam_weight': 'cam_weight',
}

logger = logging.getLogger(__name__)


def reader(source: Source, config: FrozenConfigDict, first: int) -> Callable[[], Any]:
    """() -> the next image, a tensor [1, 3, h, w] in [-1, 1]: shuffled by epoch, cropped and flipped as the config says."""
    import torch

    size, whole = config.data.image_size, load_size(config)
    images = [
        np.asarray(Image.fromarray(source.read(i)).resize((whole, whole), Image.Resampling.BICUBIC))
        for i in range(len(source))
    ]
    step = first

    def read() -> Any:
        nonlocal step
        domain = ord(source.name[-1])
        order = np.random.default_rng([config.seed, domain, step // len(images)]).permutation(len(images))
        rng = np.random.default_rng([config.seed, domain, step, 1])
        y, x = rng.integers(0, whole - size + 1, 2)
        pixels = images[order[step % len(images)]][y : y + size, x : x + size]
        if rng.random() < config.augment.flip:
            pixels = pixels[:, ::-1]
        step += 1
        return torch.from_numpy(normalize(pixels[None].copy())).permute(0, 3, 1, 2).contiguous()

    return read


def train(options: argparse.Namespace, config: FrozenConfigDict, folder: pathlib.Path) -> None:
    """Trains in turns of options.every steps and saves after each."""
    import torch

    options.ch, options.n_res, options.image_size = config.model.ch, config.model.n_res, config.data.image_size
    layers = config.model.n_layers_global, config.model.n_layers_local
    start = official_weights(jax.device_get(init_state(make_networks(config), config)), config)
    model = official(options, start, folder, layers)
    for optimizer in (model.G_optim, model.D_optim):
        optimizer.param_groups[0]['lr'] = config.optimizer.learning_rate
        optimizer.param_groups[0]['weight_decay'] = config.optimizer.weight_decay
    for official_name, name in OFFICIAL_WEIGHTS.items():
        setattr(model, official_name, config.loss[name])
    state, step = folder / 'state.pt', 0
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        step = saved['step']
        for name, value in saved['parts'].items():
            getattr(model, name).load_state_dict(value)
        logger.info('continuing from step %d', step)
    for domain in 'AB':
        setattr(model, f'train{domain}_loader', Loader(reader(open_source(config, domain, 'train'), config, step)))
    while step < options.steps:
        model.iteration = min(options.every, options.steps - step)
        model.train()
        step += model.iteration
        parts = {name: getattr(model, name).state_dict() for name in (*NETWORKS, 'G_optim', 'D_optim')}
        with atomic_file(folder / f'official_params_{step:07d}.pt') as path:
            torch.save({name: parts[name] for name in NETWORKS}, path)
        with atomic_file(state) as path:
            torch.save({'step': step, 'parts': parts}, path)
        logger.info('step %d: %s', step, model.last_line)


def evaluate(config: FrozenConfigDict, folder: pathlib.Path) -> None:
    """Writes evaluation.jsonl: a row for each saved step, as a training of ours does."""
    evaluator = make_evaluator(config, open_datasets(config), make_networks(config), make_mesh(1))
    rows = []
    for path in sorted(folder.glob('official_params_*.pt')):
        generators = read_official(str(path), config.data.image_size, None, None).generator
        rows.append({'step': int(path.stem[-7:])} | evaluator.metrics(generators))
        logger.info('%s evaluated', path)
    atomic_write_text(folder / 'evaluation.jsonl', ''.join(json.dumps(row) + '\n' for row in rows))


def run(options: argparse.Namespace) -> None:
    """Trains what is missing, then evaluates."""
    config, folder = load_generators(options.like).config, pathlib.Path(options.workdir)
    config = ConfigDict(config)
    config.evaluation.every = config.evaluation.every or 1  # else nothing would be evaluated
    config = FrozenConfigDict(config)
    if (config.model.reference, config.model.mlp_pool, config.data.batch_size) != ('pytorch', '1', 1):
        raise UserError(
            f'--like={options.like} is not a run with model.reference=pytorch, model.mlp_pool=1, data.batch_size=1'
        )
    if config.optimizer.decay != 'constant':
        raise UserError(f'--like={options.like} has a rate that falls; this comparison is of optimizer.decay=constant')
    folder.mkdir(parents=True, exist_ok=True)
    train(options, config, folder)
    evaluate(config, folder)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.official_run', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--reference', required=True, metavar='PATH', help='checkout of the official PyTorch code')
    parser.add_argument('--like', required=True, metavar='WORKDIR', help='run of ours whose settings are taken')
    parser.add_argument('--workdir', required=True, metavar='DIR', help='where checkpoints and evaluation.jsonl go')
    parser.add_argument('--steps', type=int, default=10_000)
    parser.add_argument('--every', type=int, default=1_000, help='steps between two checkpoints')
    options = parser.parse_args(arguments)
    configure_process()
    return run_command(lambda: run(options))


if __name__ == '__main__':
    sys.exit(main())
