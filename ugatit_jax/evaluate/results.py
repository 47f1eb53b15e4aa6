"""The results of an evaluation as metrics.json, as a table on the terminal, and as report.html.

    python -m ugatit_jax.evaluate.results NAME DIRECTORY

prints the rows of launch/reproduce.sh's table for the metrics.json in DIRECTORY.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from etils import epath

from ugatit_jax import __version__
from ugatit_jax.common.errors import UserError, first_line, printable
from ugatit_jax.common.files import atomic_write_text, make_folder
from ugatit_jax.evaluate.classifier import reliability_mark
from ugatit_jax.evaluate.effnet import SIDE as EFFNET_SIDE
from ugatit_jax.evaluate.effnet_weights import EffnetWeights
from ugatit_jax.evaluate.galleries import Row
from ugatit_jax.evaluate.inception_weights import PUBLISHED, InceptionWeights
from ugatit_jax.evaluate.metrics import METRICS, MetricValue, format_metric
from ugatit_jax.evaluate.protocols import ESTIMATORS, PROTOCOLS, SPREADS, sample_size_notes
from ugatit_jax.report.html import data_uri, render

METRICS_FILE, PAGE_FILE = 'metrics.json', 'report.html'
MADE_BY = 'ugatit_jax'  # metrics.json's made_by starts with it: such an evaluation may be replaced
JPEG_QUALITY = 92  # of the images on the page: no visible artefacts


@dataclasses.dataclass
class Results:
    """One evaluation, ready to be written."""

    title: str
    about: dict[str, str]  # what was evaluated: checkpoint or folders, data
    protocol: str
    weights: InceptionWeights | None
    counts: dict[str, dict[str, int]]  # images by direction and role: fake, target, source
    checksums: dict[str, str]  # sha256 by set of images
    metrics: dict[str, dict[str, MetricValue]]  # by direction
    notes: list[str]
    galleries: dict[str, list[Row]]  # by heading
    ranking: str = ''  # what best and worst mean
    effnet: EffnetWeights | None = None

    @property
    def protocol_text(self) -> str:
        """The protocol in words, as far as there are features that it applies to."""
        parts = [ESTIMATORS[self.protocol] if self.weights is None else PROTOCOLS[self.protocol]]
        if self.effnet is not None:
            parts.append(f'for EfficientNet-Lite0 Pillow bilinear to {EFFNET_SIDE}x{EFFNET_SIDE}')
        return '; '.join(parts)

    def as_json(self) -> dict[str, Any]:
        """Everything but the images, as metrics.json has it."""
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
            'made_by': f'{MADE_BY} {__version__}',
            'title': self.title,
            **self.about,
            'protocol': {'name': self.protocol, 'what': self.protocol_text, 'spread': SPREADS[self.protocol]},
            'inception': inception,
            'effnet': (
                None
                if self.effnet is None
                else {'name': 'EfficientNet-Lite0', 'file': self.effnet.path, 'sha256': self.effnet.sha256}
            ),
            'n': self.counts,
            'images_sha256': self.checksums,
            'metrics': {
                direction: {name: value._asdict() for name, value in metrics.items()}
                for direction, metrics in self.metrics.items()
            },
            'notes': self.notes,
        }

    def metric_rows(self) -> list[tuple[str, list[str]]]:
        """Every metric that was computed and its text for each direction, in the order of METRICS."""
        return [
            (name, [metric_cell(name, metrics) for metrics in self.metrics.values()])
            for name in METRICS
            if any(name in metrics for metrics in self.metrics.values())
        ]

    def table(self) -> str:
        """Metrics by row, directions by column, for the terminal."""
        rows = [['', *self.metrics]] + [[METRICS[name].title, *cells] for name, cells in self.metric_rows()]
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
        lines.append(f'images: {counts}')
        if self.weights is not None or self.effnet is not None:
            lines.append(f'protocol {self.protocol}: {self.protocol_text}; +- is the {SPREADS[self.protocol]}')
        return '\n'.join([*lines, *(f'note: {note}' for note in self.notes)])

    def html(self) -> str:
        """The page, with the images embedded."""
        table = [
            {'title': METRICS[name].title, 'meaning': METRICS[name].meaning, 'cells': cells}
            for name, cells in self.metric_rows()
        ]
        galleries = [
            {
                'heading': heading,
                'columns': list(rows[0].images),
                'rows': [
                    {
                        'images': [data_uri(image, quality=JPEG_QUALITY) for image in row.images.values()],
                        'caption': row.caption,
                    }
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
                protocol_text=self.protocol_text,
                spread=SPREADS[self.protocol],
                published=PUBLISHED,
                version=__version__,
            )
        )

    def write(self, directory: str) -> None:
        """Writes metrics.json and report.html, each atomically, into a folder that `make_output_folder` accepted."""
        folder = epath.Path(directory)
        atomic_write_text(folder / METRICS_FILE, json.dumps(self.as_json(), indent=1, allow_nan=False) + '\n')
        atomic_write_text(folder / PAGE_FILE, self.html())


def make_output_folder(directory: str) -> None:
    """Makes the output folder; raises UserError where that fails or files would be overwritten that are not ours.

    Called before anything is computed.
    """
    validate_output_folder(directory)
    make_folder(epath.Path(directory), directory)


def validate_output_folder(directory: str) -> None:
    """Raises UserError where files would be overwritten that are not ours; makes nothing."""
    folder = epath.Path(directory)
    for name in (METRICS_FILE, PAGE_FILE):
        if (folder / name).exists() and not is_evaluation(folder / METRICS_FILE):
            raise UserError(f'{folder / name} exists and is no earlier evaluation of ugatit_jax: name another folder')


def is_evaluation(path: epath.Path) -> bool:
    """Whether a metrics.json was written by ugatit_jax."""
    try:
        return str(json.loads(path.read_text())['made_by']).startswith(MADE_BY)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def checksum(images: Iterable[np.ndarray]) -> str:
    """sha256 over the shapes and pixels of images, in order."""
    digest = hashlib.sha256()
    for pixels in images:
        digest.update(repr(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def inception_notes(weights: InceptionWeights | None, counts: dict[str, dict[str, int]]) -> list[str]:
    """What a reader has to know about the Inception metrics: other weights, few images; none without weights."""
    if weights is None:
        return []
    notes = [note for roles in counts.values() for note in sample_size_notes(roles)]
    if not weights.published:
        notes.insert(0, f'{weights.path} are not the published weights: KID and FID cannot be compared with others')
    return list(dict.fromkeys(notes))


def write_and_print(results: Results, output: str) -> Results:
    """Prints the table and writes the files, on the first process only; returns the results.

    Raises UserError where they cannot be written, as on a full disk: the numbers are on the terminal then.
    """
    if jax.process_index() == 0:
        print(printable(results.table()), flush=True)
        try:
            results.write(output)
        except OSError as error:
            raise UserError(f'{output} cannot be written: {first_line(error)}; the numbers are above') from error
        print(printable(f'report: {output}/{PAGE_FILE}'))
    return results


def metric_cell(name: str, metrics: dict[str, MetricValue]) -> str:
    """A metric of a table, '-' where there is none; domain accuracy with a mark where its classifier is not reliable."""
    text, real = format_metric(name, metrics.get(name)), metrics.get('domain_accuracy_real')
    return text + reliability_mark(None if real is None else real.value) if name == 'domain_accuracy' else text


def table_rows(name: str, found: dict[str, Any]) -> list[str]:
    """Markdown rows of launch/reproduce.sh's table from the contents of a metrics.json, one for each direction."""
    rows = []
    for direction, metrics in found['metrics'].items():
        values = {key: MetricValue(**value) for key, value in metrics.items()}
        cells = [metric_cell(key, values) for key in ('kid', 'kid_mean', 'fid', 'domain_accuracy')]
        if found['inception'] and not found['inception']['published']:
            cells[0] += ' (other weights)'
        n = found['n'][direction]
        about = [
            name,
            found.get('model', '-'),
            found['step'],
            found['protocol']['name'],
            direction,
            f'{n["fake"]} / {n["target"]}',
        ]
        rows.append(f'| {" | ".join([*about, *cells])} |')
    return rows


if __name__ == '__main__':
    _, label, directory = sys.argv
    print('\n'.join(table_rows(label, json.loads((epath.Path(directory) / METRICS_FILE).read_text()))))
