"""Images that are in a data set twice: the same pixels, or nearly so by their perceptual hashes."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ugatit_jax.common.errors import listed, printable
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.scan import Report, close_to, hash_matrix, near_duplicates
from ugatit_jax.data.sources.open_source import Source

NAMED_AT_MOST = 10  # pairs of one warning


class Pair(NamedTuple):
    """Two images that are the same to the eye."""

    first: str  # SPLIT/NAME
    second: str
    exact: bool  # the same pixels, whatever the files


def duplicate_warnings(sources: Mapping[str, Source], reports: Mapping[str, Report]) -> list[str]:
    """Warnings, by splits like 'trainA', about images that are in both domains, and about those that one split has twice.

    Test images that are in the training split of their domain are among scan.common_mistakes.
    """
    warnings = []
    across = []
    for first in (split for split in reports if split.endswith('A')):
        for second in (split for split in reports if split.endswith('B')):
            found = near_duplicates(reports[first], reports[second])
            across += make_pairs(sources, (first, second), found)
    if across:
        warnings.append(
            f'{count(across)} in A are in B, too: copies teach both generators to change nothing; remove them from '
            f'the domain that they do not belong to: {named(across)}'
        )
    for split, report in reports.items():
        pairs = make_pairs(sources, (split, split), duplicates_within(report))
        if pairs:
            warnings.append(
                f'{split}: {count(pairs)} are there twice: copies count double; keep one of each: {named(pairs)}'
            )
    return [printable(warning) for warning in warnings]


def duplicates_within(report: Report) -> list[tuple[str, str]]:
    """(name of the earlier image, name of its near duplicate) in one split; flat images are skipped.

    Of several copies each later one is paired with the first of them.
    """
    hashes = hash_matrix(report)
    rows = np.flatnonzero(hashes.any(axis=1))
    pairs = []
    for place, j in enumerate(rows):  # a row at a time, as in scan.near_duplicates
        close = rows[:place][close_to(hashes[j], hashes[rows[:place]])]
        if len(close):
            pairs.append((report.keys[close[0]], report.keys[j]))
    return pairs


def make_pairs(sources: Mapping[str, Source], splits: tuple[str, str], names: list[tuple[str, str]]) -> list[Pair]:
    """Pairs of names in two splits, exact ones told from near ones by their pixels."""
    a, b = (sources[split] for split in splits)
    where_a, where_b = ({key: i for i, key in enumerate(source.keys)} for source in (a, b))
    pairs = []
    for first, second in names:
        try:
            exact = np.array_equal(a.read(where_a[first]), b.read(where_b[second]))
        except DecodeError:  # gone since the scan
            exact = False
        pairs.append(Pair(f'{splits[0]}/{first}', f'{splits[1]}/{second}', exact))
    return pairs


def count(pairs: list[Pair]) -> str:
    """'3 images (2 with the same pixels, 1 alike by a perceptual hash)'."""
    n, exact = len({pair.second for pair in pairs}), len({pair.second for pair in pairs if pair.exact})
    return f'{n} {"image" if n == 1 else "images"} ({exact} with the same pixels, {n - exact} alike by a perceptual hash)'


def named(pairs: list[Pair]) -> str:
    """The first pairs, '=' for the same pixels and '~' for nearly the same."""
    return listed([f'{a} {"=" if exact else "~"} {b}' for a, b, exact in pairs], NAMED_AT_MOST)
