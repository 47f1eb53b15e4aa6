"""Evaluates the generators of a run: what --mode=eval does."""

import logging
import pathlib

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from ugatit_jax import sharding
from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.data.sources.open_source import spread_out
from ugatit_jax.errors import UserError
from ugatit_jax.evaluate.evaluator import Evaluator, Scored, checksum
from ugatit_jax.evaluate.inception_features import Extractor
from ugatit_jax.evaluate.results import Results, Row, check_output, finish, weight_notes
from ugatit_jax.evaluate.weights import load_weights
from ugatit_jax.models.networks import make_networks
from ugatit_jax.report.drawing import overlay

logger = logging.getLogger(__name__)

SHOWN = 6  # rows of examples
RANKED = 4  # rows of best and of worst
BAD_FRACTION = 0.01  # of unreadable files in a folder that are left out
EXTRAS = ('.heatmap', '.strip')  # what translate.py puts between a name and its end


def evaluate_run(config: ConfigDict, workdir: str, step: str = 'latest') -> Results:
    """Evaluates the generators of a run's checkpoint on all test images, both directions.

    Reads the generators alone; writes WORKDIR/evaluation/STEP-PROTOCOL/ and prints the table. The networks are as the
    checkpoint has them; data and evaluation are config's. Raises UserError.
    """
    loaded = load_generators(workdir, parse_step(step))
    config = resolve(with_networks_of(config, loaded))
    folder = epath.Path(loaded.where).parent.parent / 'evaluation'
    output = str(folder / f'{loaded.step}-{config.evaluation.protocol}')
    check_output(output)
    notes = []
    if config.data.source != loaded.config.data.source:
        notes.append(f'evaluated on {config.data.source}; the run was trained on {loaded.config.data.source}')
    weights = None
    if config.evaluation.inception_weights == 'none':
        notes.append('no KID and FID: evaluation.inception_weights is none')
    else:
        try:
            weights = load_weights(config.evaluation.inception_weights)
        except UserError as error:
            if config.evaluation.inception_weights:
                raise
            notes.append(f'no KID and FID: {error}')

    mesh = sharding.make_mesh(jax.device_count())
    evaluator = Evaluator(
        config, open_datasets(config), make_networks(config), mesh, None if weights is None else Extractor(weights, mesh)
    )
    generator = jax.device_put(loaded.generator, sharding.replicated(mesh))
    scored = evaluator(generator)
    counts = {
        name: {
            'fake': len(one.translation.fake),
            'target': len(evaluator.indices[name[-1]]),
            'source': len(evaluator.indices[name[0]]),
        }
        for name, one in scored.items()
    }
    results = Results(
        title=f'Evaluation of {pathlib.Path(workdir).name}, step {loaded.step}',
        about={
            'checkpoint': loaded.where,
            'step': str(loaded.step),
            'weights': loaded.weights,
            'data': config.data.source,
            'image size': str(config.data.image_size),
        },
        protocol=config.evaluation.protocol,
        weights=weights,
        counts=counts,
        checksums={
            f'{kind} {name}': checksum(getattr(one.translation, kind))
            for name, one in scored.items()
            for kind in ('real', 'fake')
        },
        metrics={name: one.metrics for name, one in scored.items()},
        notes=notes + evaluator.notes + weight_notes(weights, counts),
        galleries={heading: rows for name, one in scored.items() for heading, rows in galleries(name, one).items()},
        ranking='by the log odds with which the small classifier takes the output for its target',
    )
    return finish(results, output)


def with_networks_of(config: ConfigDict, loaded: LoadedGenerators) -> ConfigDict:
    """config with the fields that a checkpoint's generators and their images follow from."""
    config = config.copy_and_resolve_references()
    followed = {
        'model': list(loaded.config.model),
        'loss': list(loaded.config.loss),
        'data': ['image_size', 'channels_A', 'channels_B', 'fit', 'background', 'swap'],
        'training': ['compute_dtype'],
    }
    for group, names in followed.items():
        for name in names:
            if name in config[group] and name in loaded.config[group]:  # an older one may lack a field, and have another
                with config.ignore_type():
                    config[group][name] = loaded.config[group][name]
    # a best checkpoint was chosen when it was trained; no evaluation of a run chooses another
    config.training.keep_best = ''
    return config


def galleries(direction: str, scored: Scored) -> dict[str, list[Row]]:
    """Examples, the best and the worst of one direction."""
    translation, order = scored.translation, np.argsort(-scored.target_logit, kind='stable')
    source, target = direction[0], direction[-1]

    def row(i: int) -> Row:
        images = {f'real_{source}': translation.real[i]}
        if translation.heatmap is not None:
            images['heatmap'] = overlay(translation.real[i : i + 1], translation.heatmap[i : i + 1])[0]
        images |= {f'fake_{target}': translation.fake[i], f'rec_{source}': translation.rec[i]}
        return Row(images, f'log odds {scored.target_logit[i]:+.1f}, cycle L1 {translation.metrics["cycle_l1"][i]:.3f}')

    ranked = min(RANKED, len(order) // 2)
    chosen = {'examples': spread_out(len(order), SHOWN), 'best': order[:ranked], 'worst': order[::-1][:ranked]}
    return {f'{direction}: {name}': [row(i) for i in indices] for name, indices in chosen.items()}
