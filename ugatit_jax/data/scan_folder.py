"""The splits of a folder of images, scanned: what is made of a folder begins with this."""

import logging
import os
from collections.abc import Iterator

from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import is_remote, is_within
from ugatit_jax.data import scan
from ugatit_jax.data.sources.folder import FolderSource, split_folder
from ugatit_jax.data.sources.splits import SPLITS, MissingSplit

logger = logging.getLogger(__name__)


def validate_output(root: str, output: str) -> None:
    """Raises UserError where what is written to `output` would lie among the images of a split of `root`."""
    for split in SPLITS:
        validate_outside(os.path.join(root, split), output)


def validate_outside(folder: str, output: str) -> None:
    """Raises UserError where what is written to `output`, a file or a folder, would lie among the images in `folder`."""
    if not (is_remote(folder) or is_remote(output)) and is_within(os.path.join(output, 'made'), folder):
        raise UserError(f'--output={output} is inside {folder}, among the images; choose a folder outside of it')


def scan_splits(root: str, channels: int, max_bad_fraction: float) -> Iterator[tuple[str, FolderSource, scan.Report]]:
    """Each split that a folder has, its images and which of them can be read.

    Raises UserError where a split has too many unreadable files, MissingSplit where there is no trainA or trainB.
    """
    scan.validate_limit(max_bad_fraction)
    for split in SPLITS:
        try:
            images = FolderSource(split_folder(root, split), channels)
        except MissingSplit:
            if split.startswith('train'):
                raise
            logger.warning('%s has no %s: nothing can be evaluated there', root, split)
            continue
        report = scan.scan(images)
        scan.validate_bad_fraction(report, max_bad_fraction, '--max_bad_fraction')
        yield split, images, report
