"""Evaluates the generators of a run: --mode=eval."""

import pathlib

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from ugatit_jax.checkpoint.generators import LoadedGenerators, load_generators, parse_step
from ugatit_jax.checkpoint.hub import is_on_hub
from ugatit_jax.checkpoint.model_folder import SHIPPED
from ugatit_jax.common import sharding
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import is_within
from ugatit_jax.config.derived import model_name
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data import open_datasets
from ugatit_jax.evaluate.classifier import reliability_notes
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import find_effnet
from ugatit_jax.evaluate.evaluator import DirectionScores, Evaluator
from ugatit_jax.evaluate.galleries import Row, gallery_indices
from ugatit_jax.evaluate.inception_features import FeatureExtractor
from ugatit_jax.evaluate.inception_weights import find_inception
from ugatit_jax.evaluate.results import Results, checksum, inception_notes, make_output_folder, write_and_print
from ugatit_jax.models.names import GENERATORS, source_of, target_of
from ugatit_jax.models.networks import make_networks
from ugatit_jax.report.drawing import overlay

# fields that the parameters of a checkpoint's generators and their outputs depend on: taken from the checkpoint
DATA_FIELDS = ('image_size', 'channels_A', 'channels_B', 'fit', 'background', 'swap')


def evaluate_run(config: ConfigDict, workdir: str, step: str = 'latest') -> Results:
    """Evaluates the generators of a run's checkpoint on all test images, both directions.

    Restores the generators alone; writes WORKDIR/evaluation/STEP-PROTOCOL/ and prints the table. Data and evaluation are
    those of config, the networks those of the checkpoint. Raises UserError.
    """
    loaded = load_generators(workdir, parse_step(step))
    validate_loaded(loaded, workdir)
    config = resolve(with_networks_of(config, loaded))
    folder = epath.Path(loaded.workdir or loaded.where) / 'evaluation'
    output = str(folder / f'{loaded.step}-{config.evaluation.protocol}')
    make_output_folder(output)
    notes = []
    if config.data.source != loaded.config.data.source:
        notes.append(f'evaluated on {config.data.source}; the run was trained on {loaded.config.data.source}')
    weights, no_inception = find_inception(config.evaluation.inception_weights)
    effnet_weights, no_effnet = find_effnet(config.evaluation.effnet)
    notes += [reason for reason in (no_inception, no_effnet) if reason]

    mesh = sharding.make_mesh(jax.device_count())
    extractor = None if weights is None else FeatureExtractor(weights, mesh)
    effnet = None if effnet_weights is None else EffnetExtractor(effnet_weights, mesh)
    evaluator = Evaluator(config, open_datasets(config), make_networks(config), mesh, extractor, effnet=effnet)
    scores = evaluator(jax.device_put(loaded.generator, sharding.replicated(mesh)))
    counts = {
        direction: {
            'fake': len(one.outputs.fake),
            'target': len(evaluator.indices[target_of(direction)]),
            'source': len(evaluator.indices[source_of(direction)]),
        }
        for direction, one in scores.items()
    }
    results = Results(
        title=f'Evaluation of {pathlib.Path(workdir).name}, step {loaded.step}',
        about={
            'checkpoint': loaded.where,
            'step': str(loaded.step),
            'weights': loaded.weights,
            'model': model_name(config),
            'data': config.data.source,
            'image size': str(config.data.image_size),
        },
        protocol=config.evaluation.protocol,
        weights=weights,
        effnet=effnet_weights,
        counts=counts,
        checksums={
            f'{kind} {direction}': checksum(getattr(one.outputs, kind))
            for direction, one in scores.items()
            for kind in ('real', 'fake')
        },
        metrics={direction: one.metrics for direction, one in scores.items()},
        notes=notes + evaluator.notes + reliability_notes(evaluator.classifier_accuracy) + inception_notes(weights, counts),
        galleries={
            heading: rows for direction, one in scores.items() for heading, rows in make_galleries(direction, one).items()
        },
        ranking="by the small classifier's log odds that the output is of its target domain",
    )
    return write_and_print(results, output)


def validate_loaded(loaded: LoadedGenerators, workdir: str) -> None:
    """Raises UserError for a model with one generator, and for one beside which no results can be written."""
    if missing := [name for name in GENERATORS if name not in loaded.generator]:
        raise UserError(f'{loaded.where} has no {missing[0]}; --mode=eval needs both generators')
    if is_on_hub(loaded.where) or is_within(loaded.where, str(SHIPPED)):
        raise UserError(
            f'--mode=eval writes into --workdir, and {workdir} is no folder of yours; make one of it first: '
            f'python -m ugatit_jax.export --checkpoint={workdir} --to=FOLDER'
        )


def with_networks_of(config: ConfigDict, loaded: LoadedGenerators) -> ConfigDict:
    """A copy of config with the checkpoint's fields wherever its generators and their images depend on them."""
    config = config.copy_and_resolve_references()
    fields = {
        'model': list(loaded.config.model),
        'loss': list(loaded.config.loss),
        'data': DATA_FIELDS,
        'training': ['compute_dtype'],
    }
    for group, names in fields.items():
        for name in names:
            if name in config[group] and name in loaded.config[group]:  # an older config may lack a field, or have others
                with config.ignore_type():
                    config[group][name] = loaded.config[group][name]
    return config


def make_galleries(direction: str, scores: DirectionScores) -> dict[str, list[Row]]:
    """Examples, the best and the worst outputs of one direction, ranked by the classifier."""
    outputs, source, target = scores.outputs, source_of(direction), target_of(direction)

    def row(i: int) -> Row:
        images = {f'real_{source}': outputs.real[i]}
        if outputs.heatmap is not None:
            images['heatmap'] = overlay(outputs.real[i : i + 1], outputs.heatmap[i : i + 1])[0]
        images[f'fake_{target}'] = outputs.fake[i]
        caption = f'log odds {scores.target_logits[i]:+.1f}, cycle L1 {outputs.metrics["cycle_l1"][i]:.3f}'
        if scores.truths is not None:
            images[f'true_{target}'] = scores.truths[i]
            caption += f', truth L1 {scores.truth_l1[i]:.3f}'
        images[f'rec_{source}'] = outputs.rec[i]
        return Row(images, caption)

    chosen = gallery_indices(np.argsort(-scores.target_logits, kind='stable'))
    return {f'{direction}: {heading}': [row(i) for i in indices] for heading, indices in chosen.items()}
