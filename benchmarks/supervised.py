"""What a generator can reach on the emoji at all: fitted to true pairs, which U-GAT-IT never sees, and scored on others.

    python -m benchmarks.supervised --checkpoint=emoji --steps=1500
    python -m benchmarks.supervised --checkpoint=emoji --steps=1500 --perceptual_weight=1

Three quarters of the 120 test pairs are fitted to, with L1 and, where asked for, with the perceptual distance itself; the
rest is scored. The generator starts from the checkpoint. The table has its scores before and after, and of the inputs:
a bound to hold unpaired training against. 90 pairs are few, so it is not the best that supervision could do.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ugatit_jax
from benchmarks.common import make_parser, table
from benchmarks.results_emoji import all_images, test_sources
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.images import denormalize, normalize
from ugatit_jax.common.sharding import make_mesh
from ugatit_jax.evaluate import effnet
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import EffnetWeights, find_effnet
from ugatit_jax.evaluate.truth import compare
from ugatit_jax.models.generator import Generator
from ugatit_jax.models.names import source_of, target_of
from ugatit_jax.translate.defaults import DIRECTIONS

FITTED = 0.75  # share of the pairs
SHIFT = 8  # pixels that crops may move by


def perceptual_distance(params: Any, images: jax.Array, others: jax.Array) -> jax.Array:
    """Of two batches float [B, h, w, 3] in [-1, 1]: float32 [B], the gradient's form of EffnetExtractor.distances."""
    side = (len(images), effnet.SIDE, effnet.SIDE, 3)
    # its input is (pixel - 127) / 128
    pairs = jnp.stack([jax.image.resize(x * 127.5 + 127.5, side, 'linear') for x in (images, others)], axis=1)
    return effnet.distances(params, (pairs - 127) / 128)


def make_fit_step(
    generator: Generator, optimizer: optax.GradientTransformation, weights: EffnetWeights, perceptual_weight: float
) -> Callable[..., tuple[Any, Any, jax.Array]]:
    """fit_step(params, opt_state, x, y) -> (params, opt_state, loss) for one pair [1, h, w, 3] in [-1, 1]."""

    @jax.jit
    def fit_step(params: Any, opt_state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, jax.Array]:
        def loss(params: Any) -> jax.Array:
            fake = generator.apply({'params': params}, x).image
            total = jnp.abs(fake - y).mean()
            if perceptual_weight:
                total += perceptual_weight * perceptual_distance(weights.params, fake, y).mean()
            return total

        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, value

    return fit_step


def augmented(rng: np.random.Generator, pair: np.ndarray) -> np.ndarray:
    """A pair uint8 [2, h, w, 3], both flipped and shifted by the same, over its white border."""
    pair = pair[:, :, ::-1] if rng.random() < 0.5 else pair
    top, left = rng.integers(0, 2 * SHIFT + 1, 2)
    h, w = pair.shape[1:3]
    return np.pad(pair, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), 'edge')[:, top : top + h, left : left + w]


def fit(options: argparse.Namespace, direction: str, pairs: np.ndarray, effnet_weights: EffnetWeights) -> tuple[Any, Any]:
    """(generator, params) of a direction, fitted to pairs uint8 [n, 2, h, w, 3]."""
    translator = ugatit_jax.load(options.checkpoint, direction)
    params = translator.params
    optimizer = optax.adam(optax.cosine_decay_schedule(options.learning_rate, options.steps))
    fit_step = make_fit_step(translator.generator, optimizer, effnet_weights, options.perceptual_weight)
    opt_state, rng, losses = optimizer.init(params), np.random.default_rng(0), []
    for step in range(options.steps):
        x, y = normalize(augmented(rng, pairs[rng.integers(len(pairs))]))
        params, opt_state, loss = fit_step(params, opt_state, x[None], y[None])
        losses.append(float(loss))
        if (step + 1) % 250 == 0:
            print(f'{direction} step {step + 1}: loss {np.mean(losses[-250:]):.4f}', file=sys.stderr, flush=True)
    return translator.generator, params


def scores(extractor: EffnetExtractor, images: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    """L1 of values in [0, 1] and perceptual distance, means."""
    found = compare(images, truths, extractor)
    return {'l1': float(found['l1'].mean()) / 2, 'perceptual': float(found['perceptual'].mean())}


def measure(options: argparse.Namespace) -> None:
    """Fits both directions and prints the table; raises UserError."""
    effnet_weights, reason = find_effnet(None)
    if effnet_weights is None:
        raise UserError(f'the table has perceptual distances: {reason}')
    extractor = EffnetExtractor(effnet_weights, make_mesh(jax.device_count()))
    images = {domain: all_images(source) for domain, source in test_sources().items()}
    rows, results = [], {}
    for direction in DIRECTIONS:
        pairs = np.stack([images[source_of(direction)], images[target_of(direction)]], axis=1)
        pairs = pairs[np.random.default_rng(0).permutation(len(pairs))]  # names in their order are kinds of things
        fitted, held_out = np.split(pairs, [round(FITTED * len(pairs))])
        generator, params = fit(options, direction, fitted, effnet_weights)
        forward = jax.jit(lambda params, x, generator=generator: generator.apply({'params': params}, x).image)
        inputs, truths = held_out[:, 0], held_out[:, 1]
        outputs = {
            'input as it is': inputs,
            'checkpoint, unpaired': ugatit_jax.load(options.checkpoint, direction)(inputs, size='original'),
            'fitted to true pairs': np.stack(
                [denormalize(np.asarray(forward(params, normalize(x)[None]))[0]) for x in inputs]
            ),
        }
        found = {what: scores(extractor, made, truths) for what, made in outputs.items()}
        results[direction] = found
        for what, score in found.items():
            shares = [f'{score[name]:.4f} ({score[name] / found["input as it is"][name]:.3f})' for name in score]
            rows.append((direction, what, *shares))
    print(table(('direction', 'what', 'L1 of 1 (share of the input)', 'perceptual (share)'), rows))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({'options': vars(options), 'results': results}, indent=1))


def main() -> int:
    """The command line; returns the exit code."""
    parser = make_parser('supervised', __doc__)
    add = parser.add_argument
    add('--checkpoint', default='emoji', help='where the generators start (default: %(default)s)')
    add('--steps', type=int, default=1500, help='for each direction (default: %(default)s)')
    add('--learning_rate', type=float, default=3e-4, help='falls to 0 as a cosine (default: %(default)s)')
    add('--perceptual_weight', type=float, default=0.0, help='of the perceptual distance in the loss (default: %(default)s)')
    options = parser.parse_args()

    def command() -> None:
        if options.steps < 1:
            raise UserError(f'--steps={options.steps}: it is 1 or more')
        configure_process()
        measure(options)

    return run_command(command)


if __name__ == '__main__':
    sys.exit(main())
