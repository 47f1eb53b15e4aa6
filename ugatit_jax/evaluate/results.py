"""What an evaluation found, as JSON, as a table on the terminal, and as one self-contained page."""

import dataclasses
import json
import sys
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath

from ugatit_jax import __version__
from ugatit_jax.errors import UserError, printable
from ugatit_jax.evaluate.kid_fid import Estimate
from ugatit_jax.evaluate.protocols import PROTOCOLS, SPREADS, caveats
from ugatit_jax.evaluate.weights import INCEPTION, Weights
from ugatit_jax.files import atomic_write_text
from ugatit_jax.report.page import data_uri, render

FILES = ('metrics.json', 'report.html')


class Metric(NamedTuple):
    """How a metric is shown."""

    title: str
    factor: float
    digits: int
    meaning: str


METRICS = {  # in the order in which they are shown
    'kid': Metric('KID x 100', 100, 3, 'outputs to real target; lower is better, may be below 0'),
    'kid_source': Metric('KID x 100 to the source', 100, 3, 'outputs to the images they were made from'),
    'kid_mean': Metric('KID x 100, equal mean', 100, 3, 'of the two above; very probably what the paper prints'),
    'kid_mean_old': Metric('KID x 100, 0.02/0.98 mean', 100, 3, "0.02 to the target, 0.98 to the source: the tool's once"),
    'kid_baseline': Metric('KID x 100, baseline', 100, 3, 'real source to real target, what doing nothing gives'),
    'fid': Metric('FID', 1, 2, 'outputs to real target; lower is better'),
    'fid_baseline': Metric('FID, baseline', 1, 2, 'real source to real target'),
    'precision': Metric('precision', 1, 3, "outputs among the target's three nearest neighbours; higher is better"),
    'recall': Metric('recall', 1, 3, "the target's images among the outputs'; higher is better"),
    'domain_accuracy': Metric('domain accuracy', 1, 3, 'outputs that a small classifier takes for the target'),
    'domain_accuracy_real': Metric('classifier on real images', 1, 3, 'its accuracy on those evaluated, both domains'),
    'cycle_l1': Metric('cycle L1', 1, 4, 'there and back, of values in [-1, 1]'),
    'cycle_psnr': Metric('cycle PSNR (dB)', 1, 2, 'there and back'),
    'identity_l1': Metric('identity L1', 1, 4, "the generator on its target's images, of values in [-1, 1]"),
    'identity_psnr': Metric('identity PSNR (dB)', 1, 2, "the generator on its target's images"),
    'pointing_accuracy': Metric('pointing accuracy', 1, 3, 'hottest place where the image has to change'),
    'heatmap_inside': Metric('heat inside', 1, 3, 'part of the heatmap where the image has to change'),
    'heatmap_iou': Metric('heatmap IoU', 1, 3, 'of the hottest pixels and as many that have to change'),
    'heatmap_chance': Metric('the same by chance', 1, 3, 'part of the image that has to change'),
}


class Row(NamedTuple):
    """Images of one example, uint8 [h, w, 3] by column, and what is said under them."""

    images: dict[str, np.ndarray]
    caption: str


@dataclasses.dataclass
class Results:
    """One evaluation, ready to be written."""

    title: str
    about: dict[str, str]  # what was evaluated: checkpoint or folders, data
    protocol: str
    weights: Weights | None  # of InceptionV3
    counts: dict[str, dict[str, int]]  # images by direction and role: fake, target, source
    checksums: dict[str, str]  # sha256 of the images, by set
    metrics: dict[str, dict[str, Estimate]]  # by direction
    notes: list[str]
    galleries: dict[str, list[Row]]  # rows of images by heading
    ranking: str = ''  # what best and worst mean

    def as_json(self) -> dict[str, Any]:
        """Everything but the images."""
        inception = (
            None
            if self.weights is None
            else {
                'name': 'InceptionV3 2015-12-05',
                'file': self.weights.path,
                'sha256': self.weights.sha256,
                'published': self.weights.published,
            }
        )
        return {
            'made_by': f'ugatit_jax {__version__}',
            'title': self.title,
            **self.about,
            'protocol': {'name': self.protocol, 'what': PROTOCOLS[self.protocol], 'spread': SPREADS[self.protocol]},
            'inception': inception,
            'n': self.counts,
            'images_sha256': self.checksums,
            'metrics': {
                direction: {name: value._asdict() for name, value in metrics.items()}
                for direction, metrics in self.metrics.items()
            },
            'notes': self.notes,
        }

    def table(self) -> str:
        """Metrics by row, directions by column, for the terminal."""
        rows = [['', *self.metrics]] + [
            [METRICS[name].title, *(show(name, metrics.get(name)) for metrics in self.metrics.values())]
            for name in self.names()
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = [
            '  '.join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        counts = '; '.join(
            f'{direction}: ' + ', '.join(f'{n} {role}' for role, n in counts.items())
            for direction, counts in self.counts.items()
        )
        ends = [f'images: {counts}']
        if self.weights is not None:
            ends.append(f'protocol {self.protocol}: {PROTOCOLS[self.protocol]}; +- is the {SPREADS[self.protocol]}')
        return '\n'.join([*lines, *ends, *(f'note: {note}' for note in self.notes)])

    def names(self) -> list[str]:
        """Names of the metrics that there are, in the order of METRICS."""
        return [name for name in METRICS if any(name in metrics for metrics in self.metrics.values())]

    def html(self) -> str:
        """The page."""
        table = [
            {
                'title': METRICS[name].title,
                'meaning': METRICS[name].meaning,
                'cells': [show(name, metrics.get(name)) for metrics in self.metrics.values()],
            }
            for name in self.names()
        ]
        galleries = [
            {
                'heading': heading,
                'columns': list(rows[0].images),
                'rows': [
                    {'images': [data_uri(p, quality=92) for p in row.images.values()], 'caption': row.caption}
                    for row in rows
                ],
            }
            for heading, rows in self.galleries.items()
            if rows
        ]
        return printable(
            render(
                'evaluation.html',
                results=self,
                table=table,
                galleries=galleries,
                what=PROTOCOLS[self.protocol],
                spread=SPREADS[self.protocol],
                inception=INCEPTION,
                version=__version__,
            )
        )

    def write(self, directory: str) -> None:
        """Writes metrics.json and report.html into a folder that `check_output` let pass; each appears whole."""
        folder = epath.Path(directory)
        for name, text in zip(FILES, (json.dumps(self.as_json(), indent=1, allow_nan=False) + '\n', self.html())):
            atomic_write_text(folder / name, text)


def check_output(directory: str) -> None:
    """Raises UserError, before anything is computed, where files of others would be in the way."""
    folder = epath.Path(directory)
    for name in FILES:
        if (folder / name).exists() and not made_by_us(folder / FILES[0]):
            raise UserError(f'{folder / name} is there and is no earlier evaluation of ugatit_jax: name another folder')
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'{folder} cannot be made: {error.strerror or error}; name a folder that can be written') from error


def made_by_us(path: epath.Path) -> bool:
    """Whether a metrics.json is one of ours."""
    try:
        return str(json.loads(path.read_text())['made_by']).startswith('ugatit_jax')
    except (OSError, ValueError, KeyError, TypeError):
        return False


def show(name: str, value: Estimate | None) -> str:
    """A metric as it is printed: '7.070 +- 0.650', '-' where there is none."""
    if value is None:
        return '-'
    metric = METRICS[name]
    text = f'{value.value * metric.factor:.{metric.digits}f}'
    return text if value.spread is None else f'{text} +- {value.spread * metric.factor:.{metric.digits}f}'


def table_rows(name: str, found: dict[str, Any]) -> list[str]:
    """Rows of launch/reproduce.sh's table from a metrics.json, one for each direction."""
    rows = []
    for direction, metrics in found['metrics'].items():
        estimates = {key: Estimate(**value) for key, value in metrics.items()}
        cells = [show(key, estimates.get(key)) for key in ('kid', 'kid_mean', 'fid', 'domain_accuracy')]
        if found['inception'] and not found['inception']['published']:
            cells[0] += ' (other weights)'
        n = found['n'][direction]
        rows.append(
            '| '
            + ' | '.join([name, found['step'], found['protocol']['name'], direction, f'{n["fake"]} / {n["target"]}', *cells])
            + ' |'
        )
    return rows


def weight_notes(weights: Weights | None, counts: dict[str, dict[str, int]]) -> list[str]:
    """What a reader has to know about the numbers that Inception gives."""
    if weights is None:
        return []
    notes = [note for n in counts.values() for note in caveats(n)]
    if not weights.published:
        notes.insert(0, f'{weights.path} are not the published weights: KID and FID cannot be compared with others')
    return list(dict.fromkeys(notes))


def finish(results: Results, output: str) -> Results:
    """Writes and prints."""
    if jax.process_index() == 0:
        results.write(output)
        print(printable(f'{results.table()}\nreport: {output}/report.html'))
    return results


if __name__ == '__main__':
    _, label, directory = sys.argv
    print('\n'.join(table_rows(label, json.loads((epath.Path(directory) / FILES[0]).read_text()))))
