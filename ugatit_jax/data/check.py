"""Looks at images before a run does: which files cannot be used and why, sizes, and common mistakes.

    python -m ugatit_jax.data.check PATH --output=sheet.png

PATH is one folder of images, or a data set with trainA, trainB, testA, testB in it. Names unreadable files, duplicates,
images that are in both domains, and images that seem to be of the other domain. Exits with 1 where a run would refuse the
images, with 2 where there are none.
"""

import argparse
import math
import os
import sys

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from ugatit_jax.common.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.common.errors import UserError, printable
from ugatit_jax.common.files import atomic_file, is_remote
from ugatit_jax.common.images import to_rgb
from ugatit_jax.data import scan
from ugatit_jax.data.datasets import evenly_spaced_indices
from ugatit_jax.data.decode import DecodeError, open_image
from ugatit_jax.data.duplicates import duplicate_warnings
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.scan_folder import validate_outside
from ugatit_jax.data.sources.folder import FolderSource, split_folder
from ugatit_jax.data.sources.splits import SPLITS

TILE = 112  # pixels of an image on the contact sheet: faces can be told apart, ten fit side by side on a screen
MARGIN = 4  # pixels between images
TEXT = 14  # pixels of a line of text: the built-in font at size 10
TILE_CHARACTERS, SHEET_CHARACTERS = 19, 120  # of that font that fit on a tile, on the sheet
COLUMNS = 10  # a sheet of 1,160 pixels: the width of a screen
ROWS_OF_ONE, ROWS_OF_EACH = 12, 2  # of tiles: for a single folder; for each of several splits
PADDING = (225, 225, 225)  # light grey: sets images that are not square off from the white sheet
SIGNATURE = ('Software', 'ugatit_jax.data.check')  # a file with it may be overwritten by the next check

Sources = dict[str, FolderSource]  # by split, or by the name of a single folder
Reports = dict[str, scan.Report]


def check(
    path: str,
    output: str | None = None,
    image_size: int = 256,
    channels: int = 3,
    max_bad_fraction: float = scan.MAX_BAD_FRACTION,
    other_domain: bool = True,
) -> tuple[str, list[str]]:
    """Scans a folder or a data set; returns the printable report, and one line for each split that a run would refuse.

    other_domain: look for images that seem to be of the other domain, which trains two small classifiers.
    Writes a contact sheet to `output` where one is given. Raises UserError where there are no images.
    """
    scan.validate_limit(max_bad_fraction)
    if output:
        validate_output(output)
    sources = open_folders(path, channels)
    if output:
        for source in sources.values():
            validate_outside(source.root, output)
    reports = {split: scan.scan(source) for split, source in sources.items()}
    refused = []
    for report in reports.values():
        bad, total = len(report.bad), report.total
        if scan.is_refused(report, max_bad_fraction):
            share = f'{bad} of {total} files cannot be used ({bad / total:.1%})'
            hint = 'repair or remove them, or raise --max_bad_fraction (data.max_bad_fraction of the run)'
            if not report.good:
                hint = 'none is left; name a folder of images'
            refused.append(printable(f'{report.name}: {share}, above the limit of {max_bad_fraction:.1%}; {hint}'))
    lines = [table(reports)]
    for split, report in reports.items():
        lines += [printable(f'bad: {split}/{key}: {reason}') for key, reason in report.bad]
    warnings = scan.common_mistakes(reports, image_size) + duplicate_warnings(sources, reports)
    if other_domain and {split[-1] for split in sources} >= {'A', 'B'}:
        warnings += look_for_other_domain(sources, reports)
    lines += [f'warning: {warning}' for warning in warnings]
    if output:
        signature = PngImagePlugin.PngInfo()
        signature.add_text(*SIGNATURE)
        with atomic_file(output) as partial:
            contact_sheet(sources, reports).save(partial, format='PNG', pnginfo=signature)
        lines.append(f'contact sheet: {output}')
    return '\n'.join(lines), refused


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.data.check', __doc__)
    parser.add_argument('path', metavar='PATH', help='a folder of images, or one that holds trainA, trainB, testA, testB')
    parser.add_argument('--output', help='write a contact sheet of readable images to this PNG file')
    parser.add_argument('--image_size', type=int, default=256, help='data.image_size of the run (default: 256)')
    parser.add_argument('--channels', type=int, default=3, help='only matters for .npy arrays (default: 3)')
    parser.add_argument(
        '--max_bad_fraction',
        type=float,
        default=scan.MAX_BAD_FRACTION,
        help='data.max_bad_fraction of the run (default: %(default)s)',
    )
    parser.add_argument(
        '--other_domain',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='look for images that seem to be of the other domain: trains two small classifiers (default: yes)',
    )
    options = parser.parse_args(arguments)
    configure_logging()
    return run_command(lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Checks as the flags say and prints; returns 1 where a run would refuse the images."""
    report, refused = check(**vars(options))
    print(report)
    for line in refused:
        print(f'ugatit_jax: {line}', file=sys.stderr)
    return 1 if refused else 0


def look_for_other_domain(sources: Sources, reports: Reports) -> list[str]:
    """Warnings about images that seem to be of the other domain."""
    os.environ.setdefault('JAX_PLATFORMS', 'cpu')  # a small network; leaves accelerators to training
    from ugatit_jax.evaluate.other_domain import other_domain_warnings  # imports JAX

    configure_process()
    return other_domain_warnings(sources, {split: report.good for split, report in reports.items()})


def open_folders(path: str, channels: int) -> Sources:
    """The folders of a data set, or the one folder that `path` is; raises UserError."""
    path = path.removeprefix('folder:').rstrip('/') or '/'
    if not (is_remote(path) or os.path.isdir(path)):
        raise UserError(f'{path}: no such folder')
    splits = [split for split in SPLITS if is_remote(path) or os.path.isdir(os.path.join(path, split))]
    if not splits:
        return {os.path.basename(os.path.abspath(path)): FolderSource(path, channels)}
    return {split: FolderSource(split_folder(path, split), channels) for split in splits}


def table(reports: Reports) -> str:
    """A line for each split: how many files, readable ones and bad ones, and sizes by their area."""
    rows = [('part', 'files', 'readable', 'bad', 'smallest', 'median', 'largest')]
    for split, report in reports.items():
        sizes = sorted(((probe.width, probe.height) for probe in report.probes), key=math.prod)
        chosen = (sizes[0], sizes[len(sizes) // 2], sizes[-1]) if sizes else ()
        named = [f'{width}x{height}' for width, height in chosen] or ['-'] * 3
        rows.append((split, str(report.total), str(len(report.good)), str(len(report.bad)), *named))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def contact_sheet(sources: Sources, reports: Reports) -> Image.Image:
    """Evenly spaced readable images of each split, padded to squares, with their names."""
    tiles = COLUMNS * (ROWS_OF_ONE if len(sources) == 1 else ROWS_OF_EACH)
    chosen = {
        split: [report.good[k] for k in evenly_spaced_indices(len(report.good), tiles)] for split, report in reports.items()
    }
    heights = {split: 2 * TEXT + math.ceil(len(indices) / COLUMNS) * (TILE + TEXT) for split, indices in chosen.items()}
    sheet = Image.new('RGB', (COLUMNS * TILE, sum(heights.values())), 'white')
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    top = 0
    for split, indices in chosen.items():
        good, bad = len(reports[split].good), len(reports[split].bad)
        draw.text((2, top + 2), drawable(f'{split}: {good} readable, {bad} bad', SHEET_CHARACTERS), 'black', font)
        for k, i in enumerate(indices):
            x, y = k % COLUMNS * TILE + 2, top + 2 * TEXT + k // COLUMNS * (TILE + TEXT)
            draw.text((x, y + TILE), drawable(os.path.basename(sources[split].keys[i]), TILE_CHARACTERS), 'black', font)
            try:
                pixels = fit_square(sources[split].read(i), TILE - MARGIN, 'pad', PADDING)
            except DecodeError as error:  # good at the scan, gone since
                draw.text((x, y + 2), drawable(str(error), TILE_CHARACTERS), 'red', font)
                continue
            sheet.paste(Image.fromarray(to_rgb(pixels)), (x, y))
        top += heights[split]
    return sheet


def drawable(text: str, limit: int) -> str:
    """What the built-in font can draw, shortened in the middle to `limit` characters."""
    text = text.encode('latin-1', 'replace').decode('latin-1')
    return text if len(text) <= limit else f'{text[: limit // 2 - 1]}..{text[-(limit - limit // 2 - 1) :]}'


def validate_output(output: str) -> None:
    """Raises UserError where the contact sheet has no folder, or would overwrite anything but an earlier sheet."""
    if not output.lower().endswith('.png'):
        raise UserError(f'--output={output}: the contact sheet is a PNG file: give it a name that ends with .png')
    parent = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(parent):
        raise UserError(f'--output={output}: there is no folder {parent}')
    if not os.path.lexists(output):
        return
    try:
        if not os.path.isfile(output):
            raise OSError('a folder, pipe or device')
        with open(output, 'rb') as file, open_image(file.read()) as image:
            ours = image.info.get(SIGNATURE[0]) == SIGNATURE[1]
    except Exception:  # whatever Pillow's readers raise
        ours = False
    if not ours:
        raise UserError(f'--output={output} is already there and is no contact sheet: choose another name')


if __name__ == '__main__':
    sys.exit(main())
