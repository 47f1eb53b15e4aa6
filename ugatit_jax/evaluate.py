"""Evaluates pictures of two folders, whoever made them:

    python -m ugatit_jax.evaluate --fake=DIR --real=DIR [--source=DIR] [--output=DIR]

--fake holds outputs, --real pictures of the domain they are to look like, --source those that they were made from. A
trained run is evaluated by `python -m ugatit_jax.main --config=... --workdir=... --mode=eval`.
"""
import argparse
import logging
import os
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from ugatit_jax import sharding
from ugatit_jax.config import resolve
from ugatit_jax.data import open_datasets, scan
from ugatit_jax.data.folder import FolderSource
from ugatit_jax.data.sources import Selected, Source, spread_out
from ugatit_jax.environment import collect_rarely, use_compilation_cache
from ugatit_jax.errors import UserError
from ugatit_jax.evaluation import protocols, statistics
from ugatit_jax.evaluation.evaluator import Evaluator, Scored, checksum
from ugatit_jax.evaluation.features import Extractor
from ugatit_jax.evaluation.results import Results, Row, check_output
from ugatit_jax.evaluation.weights import Weights, load_weights
from ugatit_jax.networks import make_networks
from ugatit_jax.preview import overlay
from ugatit_jax.trained import Trained, load_trained, parse_step

logger = logging.getLogger(__name__)

SHOWN = 6  # rows of examples
RANKED = 4  # rows of best and of worst
BAD_FRACTION = 0.01  # of unreadable files in a folder that are left out
EXTRAS = ('.heatmap', '.strip')  # what translate.py puts between a name and its end


def evaluate_run(config: ConfigDict, workdir: str, step: str = 'latest') -> Results:
    """Evaluates the generators of a run's checkpoint on all test pictures, both directions.

    Reads the generators alone; writes WORKDIR/evaluation/STEP-PROTOCOL/ and prints the table. The networks are as the
    checkpoint has them; data and evaluation are config's. Raises UserError.
    """
    trained = load_trained(workdir, parse_step(step))
    config = resolve(with_networks_of(config, trained))
    folder = epath.Path(trained.where).parent.parent / 'evaluation'
    output = str(folder / f'{trained.step}-{config.evaluation.protocol}')
    check_output(output)
    notes = []
    if config.data.source != trained.config.data.source:
        notes.append(f'evaluated on {config.data.source}; the run was trained on {trained.config.data.source}')
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
        config, open_datasets(config), make_networks(config), mesh, None if weights is None else Extractor(weights, mesh))
    generator = jax.device_put(trained.generator, sharding.replicated(mesh))
    scored = evaluator(generator)
    counts = {
        name: {'fake': len(one.translation.fake), 'target': len(evaluator.indices[name[-1]]),
               'source': len(evaluator.indices[name[0]])} for name, one in scored.items()}
    results = Results(
        title=f'Evaluation of {pathlib.Path(workdir).name}, step {trained.step}',
        about={'checkpoint': trained.where, 'step': str(trained.step), 'weights': trained.weights,
               'data': config.data.source, 'picture size': str(config.data.image_size)},
        protocol=config.evaluation.protocol, weights=weights, counts=counts,
        checksums={f'{kind} {name}': checksum(getattr(one.translation, kind)) for name, one in scored.items()
                   for kind in ('real', 'fake')},
        metrics={name: one.metrics for name, one in scored.items()},
        notes=notes + evaluator.notes + weight_notes(weights, counts),
        galleries={heading: rows for name, one in scored.items() for heading, rows in galleries(name, one).items()},
        ranking='by the log odds with which the small classifier takes the output for its target')
    return finish(results, output)


def with_networks_of(config: ConfigDict, trained: Trained) -> ConfigDict:
    """config with the fields that a checkpoint's generators and their pictures follow from."""
    config = config.copy_and_resolve_references()
    followed = {
        'model': list(trained.config.model), 'loss': list(trained.config.loss),
        'data': ['image_size', 'channels_A', 'channels_B', 'fit', 'background', 'swap'], 'training': ['compute_dtype']}
    for group, names in followed.items():
        for name in names:
            if name in config[group] and name in trained.config[group]:  # an older one may lack a field, and have another
                with config.ignore_type():
                    config[group][name] = trained.config[group][name]
    # a best checkpoint was chosen when it was trained; no evaluation of a run chooses another
    config.training.keep_best = ''
    return config


def galleries(direction: str, scored: Scored) -> dict[str, list[Row]]:
    """Examples, the best and the worst of one direction."""
    translation, order = scored.translation, np.argsort(-scored.target_logit, kind='stable')
    source, target = direction[0], direction[-1]

    def row(i: int) -> Row:
        pictures = {f'real_{source}': translation.real[i]}
        if translation.heatmap is not None:
            scaled = translation.real[i:i + 1].astype(np.float32) / 127.5 - 1
            pictures['heatmap'] = overlay(scaled, translation.heatmap[i:i + 1])[0]
        pictures |= {f'fake_{target}': translation.fake[i], f'rec_{source}': translation.rec[i]}
        return Row(pictures, f'log odds {scored.target_logit[i]:+.1f}, cycle L1 {translation.metrics["cycle_l1"][i]:.3f}')

    ranked = min(RANKED, len(order) // 2)
    chosen = {'examples': spread_out(len(order), SHOWN), 'best': order[:ranked], 'worst': order[::-1][:ranked]}
    return {f'{direction}: {name}': [row(i) for i in indices] for name, indices in chosen.items()}


def evaluate_folders(
    fake: str, real: str, source: str | None = None, inception_weights: str = '', output: str | None = None,
    protocol: str = 'fidelity',
) -> Results:
    """Evaluates the pictures of folder `fake` against those of `real`, and of `source` where it is given.

    Writes metrics.json and report.html into `output`, the folder of `fake` with -evaluation behind its name by default,
    and prints the table. Pictures are taken as they lie there, of any size. Raises UserError.
    """
    output = output or f'{fake.rstrip("/")}-evaluation'
    sources = {'fake': open_folder(fake), 'target': open_folder(real)}
    if source is not None:
        sources['source'] = open_folder(source)
    weights = load_weights(inception_weights)
    check_output(output)
    extractor = Extractor(weights, sharding.make_mesh(jax.device_count()))
    features, checksums = {}, {}
    for role, pictures in sources.items():
        logger.info('%s: %d pictures', role, len(pictures))
        features[role] = extractor((pictures.read(i) for i in range(len(pictures))), protocol)
        checksums[role] = checksum(pictures.read(i) for i in range(len(pictures)))
    counts = {'fake to real': {role: len(pictures) for role, pictures in sources.items()}}
    results = Results(
        title=f'Evaluation of {pathlib.Path(fake).name}',
        about={'fake': fake, 'real': real} | ({} if source is None else {'source': source}), protocol=protocol,
        weights=weights, counts=counts, checksums=checksums,
        metrics={'fake to real': protocols.compare(features['fake'], features['target'], features.get('source'), protocol)},
        notes=weight_notes(weights, counts), galleries=folder_galleries(sources, features),
        ranking='by the distance of the output\'s Inception features to those of the nearest real picture')
    return finish(results, output)


def open_folder(path: str) -> Source:
    """The readable pictures of a folder, two or more, without what ugatit_jax.translate adds to them; raises UserError."""
    if not epath.Path(path).is_dir():
        raise UserError(f'{path}: no such folder; name one with pictures in it')
    source: Any = FolderSource(path, channels=3)
    report = scan.scan(source)
    scan.refuse_or_report(report, BAD_FRACTION, 'the share that is left out', '')
    extras = heatmaps_and_strips(source.keys)
    if extras:
        logger.info('%s: left out %d heatmaps and strips beside the pictures', scan.printable(path), len(extras))
    source = Selected(source, [i for i in report.good if source.keys[i] not in extras])
    if len(source) < 2:
        raise UserError(f'{path} has {len(source)} picture; an evaluation needs 2 or more')
    return source


def heatmaps_and_strips(keys: list[str]) -> set[str]:
    """Those of `keys` that ugatit_jax.translate wrote beside outputs: NAME.heatmap.png where there is a NAME.png."""
    there, found = set(keys), set()
    for key in keys:
        stem, end = os.path.splitext(key)
        name, kind = os.path.splitext(stem)
        if kind in EXTRAS and name + end in there:
            found.add(key)
    return found


def folder_galleries(sources: dict[str, Source], features: dict[str, np.ndarray]) -> dict[str, list[Row]]:
    """Examples, the best and the worst outputs beside the nearest real picture, and the input where names tell it."""
    between = statistics.distances(features['fake'], features['target'])
    nearest, distance = between.argmin(axis=1), between.min(axis=1)
    order = np.argsort(distance, kind='stable')
    inputs = {}
    if 'source' in sources:
        by_name = {pathlib.Path(key).stem: i for i, key in enumerate(sources['source'].keys)}
        inputs = {i: by_name.get(pathlib.Path(key).stem) for i, key in enumerate(sources['fake'].keys)}
        inputs = {} if None in inputs.values() else inputs

    def row(i: int) -> Row:
        pictures = {'input': sources['source'].read(inputs[i])} if inputs else {}
        pictures |= {'output': sources['fake'].read(i), 'nearest real': sources['target'].read(nearest[i])}
        return Row(pictures, f'{sources["fake"].keys[i]}, distance {distance[i]:.2f}')

    ranked = min(RANKED, len(order) // 2)
    chosen = {'Examples': spread_out(len(order), SHOWN), 'Best': order[:ranked], 'Worst': order[::-1][:ranked]}
    return {name: [row(int(i)) for i in indices] for name, indices in chosen.items()}


def weight_notes(weights: Weights | None, counts: dict[str, dict[str, int]]) -> list[str]:
    """What a reader has to know about the numbers that Inception gives."""
    if weights is None:
        return []
    notes = [note for n in counts.values() for note in protocols.caveats(n)]
    if not weights.published:
        notes.insert(0, f'{weights.path} are not the published weights: KID and FID cannot be compared with others')
    return list(dict.fromkeys(notes))


def finish(results: Results, output: str) -> Results:
    """Writes and prints."""
    if jax.process_index() == 0:
        results.write(output)
        print(scan.printable(f'{results.table()}\nreport: {output}/report.html'))
    return results


def main(arguments: list[str] | None = None) -> int:
    """The command line of two folders; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m ugatit_jax.evaluate', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fake', required=True, metavar='DIR', help='outputs')
    parser.add_argument('--real', required=True, metavar='DIR', help='pictures of the domain that they are to look like')
    parser.add_argument('--source', metavar='DIR', help='pictures that they were made from')
    parser.add_argument(
        '--inception_weights', default='', metavar='FILE', help='of InceptionV3; downloaded once where it is not given')
    parser.add_argument('--output', metavar='DIR', help='for metrics.json and report.html (default: FAKE-evaluation)')
    parser.add_argument('--protocol', choices=list(protocols.PROTOCOLS), default='fidelity', help='(default: %(default)s)')
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format='%(message)s', stream=sys.stderr)
    logging.getLogger('jax').setLevel(logging.WARNING)
    use_compilation_cache()
    collect_rarely()
    try:
        evaluate_folders(**vars(options))
    except UserError as error:
        print(f'ugatit_jax: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('ugatit_jax: interrupted', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
