"""Looks at images before a run does: which files cannot be used and why, sizes, and what usually goes wrong.

    python -m ugatit_jax.data.check PATH --output=sheet.png

PATH is one folder of images, or a data set with trainA, trainB, testA, testB in it. Exits with 1 where a run would
refuse the images, with 2 where there are none.
"""

import argparse
import math
import os
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from ugatit_jax.command import configure_logging, run_command
from ugatit_jax.data import scan
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import fit_square
from ugatit_jax.data.sources import folder
from ugatit_jax.data.sources.splits import SPLITS
from ugatit_jax.errors import UserError, printable

_TILE = 112  # pixels of an image on the contact sheet
_TEXT = 14  # pixels of the line under it
_COLUMNS = 10
_ROWS = {True: 12, False: 2}  # of tiles per part: for one folder alone, for one of several splits
_SIGNATURE = ('Software', 'ugatit_jax.data.check')  # a file with it may be overwritten by the next check


def check(
    path: str, output: str | None = None, image_size: int = 256, channels: int = 3, max_bad_fraction: float = 0.01
) -> tuple[str, list[str]]:
    """Scans a folder or a data set.

    Returns:
      (the printable report, one line for each part that a run would refuse).
    """
    if output:
        _check_output(output)
    sources = _open(path, channels)
    reports = {split: scan.scan(source) for split, source in sources.items()}
    refusals = []
    for report in reports.values():
        bad, allowed = len(report.bad), max_bad_fraction * report.total
        if bad > allowed or not report.good:
            refusals.append(
                printable(
                    f'{report.name}: {bad} of {report.total} files cannot be used ({bad / report.total:.1%}), '
                    f'above the share of {max_bad_fraction:.1%}'
                )
            )
    lines = [_table(reports)]
    for split, report in reports.items():
        lines += [printable(f'bad: {split}/{key}: {reason}') for key, reason in report.bad]
    lines += [f'warning: {warning}' for warning in scan.usual_mistakes(reports, image_size)]
    if output:
        _contact_sheet(sources, reports).save(output, format='PNG', pnginfo=_signature())
        lines.append(f'contact sheet: {output}')
    return '\n'.join(lines), refusals


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('path', metavar='PATH', help='a folder of images, or one that holds trainA, trainB, testA, testB')
    parser.add_argument('--output', help='write a contact sheet of readable images to this PNG file')
    parser.add_argument('--image_size', type=int, default=256, help='data.image_size of the run (default: 256)')
    parser.add_argument('--channels', type=int, default=3, help='only matters for .npy arrays (default: 3)')
    parser.add_argument(
        '--max_bad_fraction', type=float, default=0.01, help='data.max_bad_fraction of the run (default: 0.01)'
    )
    options = parser.parse_args(arguments)
    configure_logging()
    return run_command(lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Checks as the flags say and prints; returns 1 where a run would refuse the images."""
    report, refusals = check(options.path, options.output, options.image_size, options.channels, options.max_bad_fraction)
    print(report)
    for refusal in refusals:
        print(f'ugatit_jax: {refusal}', file=sys.stderr)
    return 1 if refusals else 0


def _open(path: str, channels: int) -> dict[str, folder.FolderSource]:
    path = path.removeprefix('folder:').rstrip('/') or '/'
    if '://' not in path and not os.path.isdir(path):
        raise UserError(f'{path}: no such folder')
    splits = [split for split in SPLITS if '://' in path or os.path.isdir(os.path.join(path, split))]
    if not splits:
        return {os.path.basename(os.path.abspath(path)): folder.FolderSource(path, channels)}
    return {split: folder.FolderSource(folder.check_folder(path, split), channels) for split in splits}


def _table(reports: dict[str, scan.Report]) -> str:
    rows = [('part', 'files', 'readable', 'bad', 'smallest', 'median', 'largest')]
    for split, report in reports.items():
        sizes = sorted(((probe.width, probe.height) for probe in report.probes), key=lambda size: size[0] * size[1])
        named = (
            [f'{width}x{height}' for width, height in (sizes[0], sizes[len(sizes) // 2], sizes[-1])] if sizes else ['-'] * 3
        )
        rows.append((split, str(report.total), str(len(report.good)), str(len(report.bad)), *named))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _contact_sheet(sources: dict[str, folder.FolderSource], reports: dict[str, scan.Report]) -> Image.Image:
    """Evenly chosen readable images of each part, padded to squares, with their names."""
    tiles_per_part = _COLUMNS * _ROWS[len(sources) == 1]
    chosen = {}
    for split, report in reports.items():
        count = min(len(report.good), tiles_per_part)
        chosen[split] = (
            [report.good[k] for k in np.linspace(0, len(report.good) - 1, count).round().astype(int)] if count else []
        )
    height = sum(2 * _TEXT + math.ceil(len(indices) / _COLUMNS) * (_TILE + _TEXT) for indices in chosen.values())
    sheet = Image.new('RGB', (_COLUMNS * _TILE, height), 'white')
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    top = 0
    for split, indices in chosen.items():
        report = reports[split]
        draw.text(
            (2, top + 2), _drawable(f'{split}: {len(report.good)} readable, {len(report.bad)} bad', 120), 'black', font
        )
        top += 2 * _TEXT
        for k, i in enumerate(indices):
            x, y = k % _COLUMNS * _TILE, top + k // _COLUMNS * (_TILE + _TEXT)
            draw.text((x + 2, y + _TILE), _drawable(os.path.basename(sources[split].keys[i]), 19), 'black', font)
            try:
                pixels = fit_square(sources[split].read(i), _TILE - 4, 'pad', (225, 225, 225))
            except DecodeError as error:  # good at the scan, gone since
                draw.text((x + 2, y + 2), _drawable(str(error), 19), 'red', font)
                continue
            pixels = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1].repeat(3, axis=-1)
            sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x + 2, y))
        top += math.ceil(len(indices) / _COLUMNS) * (_TILE + _TEXT)
    return sheet


def _drawable(text: str, limit: int) -> str:
    """What the built-in font can draw, cut in the middle."""
    text = text.encode('latin-1', 'replace').decode('latin-1')
    return text if len(text) <= limit else f'{text[: limit // 2 - 1]}..{text[-(limit - limit // 2 - 1) :]}'


def _signature() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(*_SIGNATURE)
    return info


def _check_output(output: str) -> None:
    parent = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(parent):
        raise UserError(f'--output={output}: there is no folder {parent}')
    if not os.path.exists(output):
        return
    try:
        with Image.open(output) as image:
            ours = image.info.get(_SIGNATURE[0]) == _SIGNATURE[1]
    except OSError:
        ours = False
    if not ours:
        raise UserError(f'--output={output} is already there and is no contact sheet: choose another name')


if __name__ == '__main__':
    sys.exit(main())
