"""Reads every file once before a run: names unreadable ones with reasons and says what usually goes wrong.

The results are kept per user, by name, size and time of each file: next time only new and changed files are read.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import tempfile
from typing import Protocol

import numpy as np
import PIL
import tqdm

from ugatit_jax.data.decode import DecodeError, Probe
from ugatit_jax.errors import UserError, printable
from ugatit_jax.files import cache_folder

_logger = logging.getLogger(__name__)

NAMED_AT_MOST = 10  # bad files in one message
FEW_IMAGES = 50
UNEQUAL_SIZES = 10
NEAR_DUPLICATE_BITS = (
    24  # of 256. Measured: copies reduced and saved again differ by 8 to 22, different aligned faces by 34 or more
)
_VERSION = 1  # of the cached results; changes with what decode.py accepts


class Scannable(Protocol):
    """A source whose files may be bad."""

    name: str
    keys: list[str]

    def probe(self, i: int) -> Probe: ...

    def stamp(self, i: int) -> str: ...


@dataclasses.dataclass(frozen=True)
class Report:
    """What a scan found: indices of readable images with their probes, and (name, reason) of the others."""

    name: str
    good: list[int]
    probes: list[Probe]
    bad: list[tuple[str, str]]
    keys: list[str]  # of the good ones
    read: int  # how many files were read now, not known from before

    @property
    def total(self) -> int:
        return len(self.good) + len(self.bad)


def scan(source: Scannable, progress: bool = True) -> Report:
    """Reads all files of a source that are not known from an earlier scan, in parallel."""
    path = cache_path(source.name)
    known = _load(path)
    stamps = [source.stamp(i) for i in range(len(source.keys))]
    results = [
        known[key][1:] if known.get(key, [None])[0] == stamp else None
        for key, stamp in zip(source.keys, stamps, strict=True)
    ]
    missing = [i for i, result in enumerate(results) if result is None]
    if missing:
        # Pillow decodes outside the interpreter lock, so threads do; more than cores, for files that lie far away.
        with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            found = tqdm.tqdm(
                pool.map(lambda i: _probe(source, i), missing),
                total=len(missing),
                unit='images',
                desc=f'reading {printable(source.name)}',
                disable=None if progress else True,
                leave=False,
            )
            for i, result in zip(missing, found, strict=True):
                results[i] = result
    if missing or len(known) != len(results):
        _save(path, {key: [stamp, *result] for key, stamp, result in zip(source.keys, stamps, results, strict=True)})
    good = [i for i, result in enumerate(results) if not result[0]]
    return Report(
        name=source.name,
        good=good,
        probes=[Probe(*results[i][1:]) for i in good],
        bad=[(source.keys[i], result[0]) for i, result in enumerate(results) if result[0]],
        keys=[source.keys[i] for i in good],
        read=len(missing),
    )


def validate_bad_fraction(
    report: Report,
    max_bad_fraction: float,
    field: str = 'data.max_bad_fraction={:g}',
    way_out: str = ', or raise that field',
) -> None:
    """Warns of each bad file; UserError if their share is above `max_bad_fraction` or nothing is left.

    field, way_out: how the limit is called in that message, and what can be done beside mending files.
    """
    count, total = len(report.bad), report.total
    if not report.bad:
        return
    if count > max_bad_fraction * total or not report.good:
        named = '; '.join(f'{key}: {reason}' for key, reason in report.bad[:NAMED_AT_MOST])
        more = f'; and {count - NAMED_AT_MOST} more' if count > NAMED_AT_MOST else ''
        raise UserError(
            printable(
                f'{report.name}: {count} of {total} files cannot be used ({count / total:.1%}), above '
                f'{field.format(max_bad_fraction)} ({max_bad_fraction:.1%}): repair or remove them{way_out}: {named}{more}'
            )
        )
    for key, reason in report.bad:
        _logger.warning('%s', printable(f'{report.name}: left out {key}: {reason}'))
    _logger.warning('%s', printable(f'{report.name}: goes on with {len(report.good)} of {total} files'))


def usual_mistakes(reports: dict[str, Report], image_size: int) -> list[str]:
    """Warnings about scanned splits (keys like 'trainA'): few, small or unequal numbers, the same in train and test."""
    warnings = []
    for split, report in reports.items():
        count = len(report.good)
        if split.startswith('train') and 0 < count < FEW_IMAGES:
            warnings.append(
                f'{split} has {count} images: fewer than {FEW_IMAGES} are learned by heart '
                '(config.augment.diffaugment helps a little)'
            )
        small = [min(probe.width, probe.height) for probe in report.probes if min(probe.width, probe.height) < image_size]
        if small:
            warnings.append(
                f'{split}: {len(small)} of {count} images have a side below data.image_size={image_size} '
                f'(the smallest has {min(small)}): they are enlarged and stay blurred'
            )
    counts = {domain: len(reports[f'train{domain}'].good) for domain in 'AB' if f'train{domain}' in reports}
    if len(counts) == 2 and max(counts.values()) > UNEQUAL_SIZES * min(counts.values()):
        warnings.append(
            f'trainA has {counts["A"]} images and trainB {counts["B"]}: more than {UNEQUAL_SIZES} times as '
            'many; the smaller domain is learned by heart'
        )
    for domain in 'AB':
        if f'train{domain}' in reports and f'test{domain}' in reports:
            pairs = near_duplicates(reports[f'train{domain}'], reports[f'test{domain}'])
            if pairs:
                first = ', '.join(f'{a} = {b}' for a, b in pairs[:3])
                warnings.append(
                    printable(
                        f'test{domain}: {len({b for _, b in pairs})} images look like ones in '
                        f'train{domain} ({first}{" ..." if len(pairs) > 3 else ""}): scores on them are '
                        'worth nothing'
                    )
                )
    return warnings


def near_duplicates(first: Report, second: Report) -> list[tuple[str, str]]:
    """Names (in first, in second) of images with hashes at most NEAR_DUPLICATE_BITS apart; flat ones are skipped."""
    a, b = _hashes(first), _hashes(second)
    rows_a, rows_b = np.flatnonzero(a.any(axis=1)), np.flatnonzero(b.any(axis=1))
    pairs = []
    for j in rows_b:  # a row at a time: all pairs of two large splits would not fit
        distance = np.bitwise_count(a[rows_a] ^ b[j]).sum(axis=1)
        pairs += [(first.keys[i], second.keys[j]) for i in rows_a[distance <= NEAR_DUPLICATE_BITS]]
    return pairs


def cache_path(name: str) -> pathlib.Path:
    """File in the user's cache folder that keeps the results for the source of that name."""
    # Pillow's version: what was unreadable may be readable after an upgrade.
    identity = repr(
        (
            os.path.abspath(name.removeprefix('folder:')) if name.startswith('folder:') and '://' not in name else name,
            PIL.__version__,
            _VERSION,
        )
    )
    return cache_folder() / f'scan-{hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:20]}.json'


def _probe(source: Scannable, i: int) -> list:
    try:
        probe = source.probe(i)
    except DecodeError as error:
        return [str(error), 0, 0, '']
    return ['', probe.width, probe.height, probe.hash]


def _hashes(report: Report) -> np.ndarray:
    data = bytes.fromhex(''.join(probe.hash for probe in report.probes))
    return np.frombuffer(data, np.uint64).reshape(len(report.probes), 4)


def _load(path: pathlib.Path) -> dict[str, list]:
    try:
        known = json.loads(path.read_text())
        if all(isinstance(value, list) and len(value) == 5 for value in known.values()):
            return known
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        _logger.warning('%s cannot be used (%s): reading all images again', path, error)
        return {}
    _logger.warning('%s has another layout: reading all images again', path)
    return {}


def _save(path: pathlib.Path, results: dict[str, list]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and renamed: several processes of a run may do this at once.
        with tempfile.NamedTemporaryFile('w', dir=path.parent, delete=False) as file:
            json.dump(results, file)
        os.replace(file.name, path)
    except OSError as error:
        _logger.warning('the scan is not kept, the next start reads all images again: %s', error)
