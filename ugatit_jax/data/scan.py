"""Reads every file once before a run: names unreadable ones with the reason, and warns of common mistakes.

The results are cached per user, by name, size and time of each file: the next scan reads only new and changed files.
"""

import concurrent.futures
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
from typing import Protocol

import numpy as np
import PIL

from ugatit_jax.common.errors import UserError, printable
from ugatit_jax.common.files import atomic_file, cache_folder
from ugatit_jax.common.progress import track
from ugatit_jax.config.default import get_config
from ugatit_jax.data.decode import DecodeError, Probe

logger = logging.getLogger(__name__)

MAX_BAD_FRACTION = get_config().data.max_bad_fraction  # of commands that have no config: a run's default
NAMED_AT_MOST = 10  # bad files in one message: it stays one readable line
FEW_IMAGES = 50  # in a training split: below it, overfitting is likely enough to warn of
UNEQUAL_SIZES = 10  # ratio of the domains: each image of the smaller one is seen that many times as often
NEAR_DUPLICATE_BITS = 24  # of 256; measured: copies saved again at a smaller size differ by 8 to 22, other faces by 34 on
VERSION = 2  # of the cached results; changes with what decode.py accepts


class Scannable(Protocol):
    """A source whose files may be unreadable."""

    name: str
    keys: list[str]

    def probe(self, i: int) -> Probe: ...

    def stamp(self, i: int) -> str: ...


@dataclasses.dataclass(frozen=True)
class Report:
    """What a scan found: readable images, and the names of the others with the reason."""

    name: str
    good: list[int]  # indices of the readable images
    probes: list[Probe]  # of those
    keys: list[str]  # of those
    bad: list[tuple[str, str]]  # (name, reason)
    read: int  # how many files this scan read, the others were known

    @property
    def total(self) -> int:
        """How many files there are, readable or not."""
        return len(self.good) + len(self.bad)


def scan(source: Scannable, progress: bool = True) -> Report:
    """Reads all files of a source that are not known from an earlier scan, in parallel."""
    path = cache_path(source.name)
    known = load_results(path)
    stamps = [source.stamp(i) for i in range(len(source.keys))]
    results = [
        known[key][1:] if known.get(key, [None])[0] == stamp else None
        for key, stamp in zip(source.keys, stamps, strict=True)
    ]
    missing = [i for i, result in enumerate(results) if result is None]
    if missing:
        # Pillow decodes without the interpreter's lock, so threads do; twice the cores, as some wait for remote files
        with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            found = pool.map(lambda i: probe_result(source, i), missing)
            if progress:
                found = track(found, f'reading {source.name}', len(missing))
            for i, result in zip(missing, found, strict=True):
                results[i] = result
    if missing or len(known) != len(results):
        save_results(path, {key: [stamp, *result] for key, stamp, result in zip(source.keys, stamps, results, strict=True)})
    good = [i for i, result in enumerate(results) if not result[0]]
    return Report(
        name=source.name,
        good=good,
        probes=[Probe(*results[i][1:]) for i in good],
        bad=[(source.keys[i], result[0]) for i, result in enumerate(results) if result[0]],
        keys=[source.keys[i] for i in good],
        read=len(missing),
    )


def validate_limit(max_bad_fraction: float) -> None:
    """Raises UserError where --max_bad_fraction is no share; 5 for 5% would let every file be unreadable."""
    if not 0 <= max_bad_fraction <= 1:
        raise UserError(f'--max_bad_fraction={max_bad_fraction:g}: it is a share, from 0 to 1')


def is_refused(report: Report, max_bad_fraction: float) -> bool:
    """Whether the share of bad files is above the limit, or no image is left."""
    return len(report.bad) > max_bad_fraction * report.total or not report.good


def validate_bad_fraction(report: Report, max_bad_fraction: float, option: str | None = 'data.max_bad_fraction') -> None:
    """Warns of each bad file; raises UserError if their share is above `max_bad_fraction` or no image is left.

    `option` is the setting that the user may raise, if there is one.
    """
    count, total = len(report.bad), report.total
    if not report.bad:
        return
    if is_refused(report, max_bad_fraction):
        limit = f'{option}={max_bad_fraction:g}' if option else f'the limit of {max_bad_fraction:.1%}'
        hint = 'repair or remove them' + (', or raise that limit' if option else '')
        named = '; '.join(f'{key}: {reason}' for key, reason in report.bad[:NAMED_AT_MOST])
        more = f'; and {count - NAMED_AT_MOST} more' if count > NAMED_AT_MOST else ''
        raise UserError(
            f'{report.name}: {count} of {total} files cannot be used ({count / total:.1%}), above {limit}: {hint}: '
            f'{named}{more}'
        )
    for key, reason in report.bad:
        logger.warning('%s', printable(f'{report.name}: left out {key}: {reason}'))
    logger.warning('%s', printable(f'{report.name}: continues with {len(report.good)} of {total} files'))


def common_mistakes(reports: dict[str, Report], image_size: int) -> list[str]:
    """Warnings about scanned splits, by names like 'trainA': few, small or unequal numbers, test images in training."""
    warnings = []
    for split, report in reports.items():
        count = len(report.good)
        if split.startswith('train') and 0 < count < FEW_IMAGES:
            warnings.append(
                f'{split} has {count} images: with fewer than {FEW_IMAGES} the networks overfit '
                '(config.augment.diffaugment helps a little)'
            )
        small = [min(probe.width, probe.height) for probe in report.probes if min(probe.width, probe.height) < image_size]
        if small:
            warnings.append(
                f'{split}: {len(small)} of {count} images have a side below data.image_size={image_size} '
                f'(the smallest has {min(small)}): they are enlarged and stay blurred'
            )
        animated = [key for key, probe in zip(report.keys, report.probes, strict=True) if probe.frames > 1]
        if animated:
            named = ', '.join(animated[:3]) + (' ...' if len(animated) > 3 else '')
            warnings.append(
                printable(f'{split}: {len(animated)} of {count} images have several frames ({named}): the first is used')
            )
    counts = {domain: len(reports[f'train{domain}'].good) for domain in 'AB' if f'train{domain}' in reports}
    if len(counts) == 2 and max(counts.values()) > UNEQUAL_SIZES * min(counts.values()):
        warnings.append(
            f'trainA has {counts["A"]} images and trainB {counts["B"]}: one is more than {UNEQUAL_SIZES} times as large as '
            'the other; the networks overfit the smaller domain'
        )
    for domain in 'AB':
        if f'train{domain}' in reports and f'test{domain}' in reports:
            pairs = near_duplicates(reports[f'train{domain}'], reports[f'test{domain}'])
            if pairs:
                first = ', '.join(f'{a} = {b}' for a, b in pairs[:3]) + (' ...' if len(pairs) > 3 else '')
                warnings.append(
                    printable(
                        f'test{domain}: {len({b for _, b in pairs})} images are near duplicates of images in '
                        f'train{domain} ({first}): scores on them are worth nothing'
                    )
                )
    return warnings


def near_duplicates(first: Report, second: Report) -> list[tuple[str, str]]:
    """(name in first, name in second) where hashes differ in NEAR_DUPLICATE_BITS at most; flat images are skipped."""
    a, b = hash_matrix(first), hash_matrix(second)
    rows_a, rows_b = np.flatnonzero(a.any(axis=1)), np.flatnonzero(b.any(axis=1))
    pairs = []
    for j in rows_b:  # a row at a time: all pairs of two large splits would not fit into memory
        pairs += [(first.keys[i], second.keys[j]) for i in rows_a[close_to(b[j], a[rows_a])]]
    return pairs


def close_to(hash: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Which of hashes, uint64 [n, 4], differ from one, [4], in NEAR_DUPLICATE_BITS at most: bool [n]."""
    return np.bitwise_count(hashes ^ hash).sum(axis=1) <= NEAR_DUPLICATE_BITS


def cache_path(name: str) -> pathlib.Path:
    """The file in the user's cache folder that keeps the results for the source of that name."""
    if name.startswith('folder:') and '://' not in name:
        name = os.path.abspath(name.removeprefix('folder:'))
    identity = repr((name, PIL.__version__, VERSION))  # what was unreadable may be readable after an upgrade of Pillow
    return cache_folder() / f'scan-{hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:20]}.json'


def probe_result(source: Scannable, i: int) -> list:
    """[reason, width, height, hash, frames] of image i; the reason is '' for a readable one."""
    try:
        probe = source.probe(i)
    except DecodeError as error:
        return [str(error), 0, 0, '', 0]
    return ['', probe.width, probe.height, probe.hash, probe.frames]


def hash_matrix(report: Report) -> np.ndarray:
    """The perceptual hashes of the readable images, uint64 [n, 4]."""
    data = bytes.fromhex(''.join(probe.hash for probe in report.probes))
    return np.frombuffer(data, np.uint64).reshape(len(report.probes), 4)


def load_results(path: pathlib.Path) -> dict[str, list]:
    """{key: [stamp, reason, width, height, hash, frames]} of an earlier scan; {} where there is none that can be used."""
    try:
        known = json.loads(path.read_text())
        if all(isinstance(value, list) and len(value) == 6 for value in known.values()):
            return known
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        logger.warning('%s cannot be used (%s): reading all images again', path, error)
        return {}
    logger.warning('%s has another layout: reading all images again', path)
    return {}


def save_results(path: pathlib.Path, results: dict[str, list]) -> None:
    """Writes what `load_results` reads; only warns where that is not possible."""
    try:
        # atomic: several processes of a run may do this at once
        with atomic_file(str(path)) as partial, open(partial, 'w') as file:
            json.dump(results, file)
    except OSError as error:
        logger.warning('the scan is not cached, the next one reads all images again: %s', error)
