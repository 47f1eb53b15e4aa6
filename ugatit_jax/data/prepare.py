"""Turns a folder of images into ArrayRecord shards, so that the workers of a pod need not list and open single files:

    python -m ugatit_jax.data.prepare --source=folder:PATH --output=DIR
    python -m ugatit_jax.main --config=configs/default.py --workdir=W --config.data.source=prepared:DIR

The encoded files are stored as they are; unreadable ones are reported and left out, as in training.

With --faces it makes a folder of images of photos, to look through and train on: the faces of one or both domains, cut out
upright as `ugatit_jax.translate --faces` cuts them (docs/faces.md); the other domain's files are copied:

    python -m ugatit_jax.data.prepare --source=folder:PATH --output=DIR --faces=A
    python -m ugatit_jax.main --config=configs/default.py --workdir=W --config.data.source=folder:DIR
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator

from ugatit_jax.common.command import argument_parser, configure_logging, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import folder_for_bucket, is_remote, partial_folder, prepare_bucket, remove_abandoned
from ugatit_jax.data import scan
from ugatit_jax.data.prepare_faces import DOMAINS, prepare_faces
from ugatit_jax.data.scan_folder import scan_splits, validate_output
from ugatit_jax.data.sources.prepared import INFO, prepared_directory


def prepare(
    source: str, output: str, channels: int = 3, max_bad_fraction: float = scan.MAX_BAD_FRACTION
) -> dict[str, tuple[int, int]]:
    """Writes the shards and returns {split: (images, files left out)}.

    Raises UserError where there is something at `output` already, or where a split has too many unreadable files.
    """
    kind, _, root = source.partition(':')
    if kind != 'folder' or not root:
        raise UserError(f'--source={source}: expected folder:PATH')
    validate_output(root, output)
    prepare_bucket(output)
    directory = prepared_directory(output)
    if directory.exists():
        raise UserError(f'--output={output}: {directory} is already there; choose another folder, or remove that one first')
    from ugatit_jax.data.unpaired_folder import write_shards

    folders, counts = {}, {}
    for split, images, report in scan_splits(root, channels, max_bad_fraction):
        folders[split] = (images.root, report.keys)
        counts[split] = (len(report.good), len(report.bad))
    try:
        with building_place(output) as place:
            write_shards(folders, place)
    except OSError as error:
        raise UserError(f'--output={output} cannot be written: {error}; name another folder, or free some space') from error
    return counts


@contextlib.contextmanager
def building_place(output: str) -> Iterator[str]:
    """A folder to build in, whose result is moved to `output` when it is complete; raises OSError.

    What killed processes left is removed first; TFDS would leave its incomplete folders. To a bucket, which ArrayRecord can
    only read, the files are copied.
    """
    if is_remote(output):
        with folder_for_bucket(output, INFO) as place:
            yield str(place)
        return
    os.makedirs(output, exist_ok=True)
    remove_abandoned(output)
    with partial_folder(output) as place:
        yield str(place)
        target = prepared_directory(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(prepared_directory(str(place)), target)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.data.prepare', __doc__)
    parser.add_argument('--source', required=True, help='folder:PATH with trainA, trainB, testA, testB in PATH')
    parser.add_argument('--output', required=True, help='folder that the shards are written below')
    parser.add_argument('--channels', type=int, default=3, help='only matters for .npy arrays (default: 3)')
    parser.add_argument(
        '--max_bad_fraction',
        type=float,
        default=scan.MAX_BAD_FRACTION,
        help='largest share of unreadable files that are left out (default: %(default)s)',
    )
    parser.add_argument(
        '--faces',
        choices=DOMAINS,
        default='',
        help='write a folder of images, not shards: each face in the photos of these domains as a PNG',
    )
    options = parser.parse_args(arguments)
    configure_logging(logging.WARNING)
    return run_command(lambda: run(options))


def run(options: argparse.Namespace) -> None:
    """Prepares as the flags say and prints what was written."""
    if options.faces:
        if options.channels != 3:
            raise UserError(f'--faces is for RGB images, not for --channels={options.channels}; leave one out')
        for split, made in prepare_faces(options.source, options.output, options.faces, options.max_bad_fraction).items():
            print(f'{split}: {made.summary()}')
        print(f'look through them, then train with --config.data.source=folder:{options.output}')
        return
    counts = prepare(options.source, options.output, options.channels, options.max_bad_fraction)
    for split, (images, left_out) in counts.items():
        print(f'{split}: {images} images, {left_out} files left out')
    print(f'read them with --config.data.source=prepared:{options.output}')


if __name__ == '__main__':
    sys.exit(main())
