"""Makes the images of README from a finished demo run: docs/demo.png, its last preview, and docs/report.png, its page.

    python -m benchmarks.docs_images --workdir=runs/demo [--output=docs]

Needs Chromium on the PATH.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from PIL import Image

from benchmarks.browser import find_browser
from ugatit_jax.common.command import argument_parser, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import atomic_file
from ugatit_jax.report.run_page import write_run_page
from ugatit_jax.report.run_previews import preview_files

WINDOW = (1100, 2560)  # CSS pixels: the page's width, down to the first curves
README_WIDTH = 660  # pixels of docs/report.png: what GitHub shows of a README is hardly wider
SECONDS = 60  # for the browser, which takes 2


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('benchmarks.docs_images', __doc__)
    parser.add_argument('--workdir', required=True, help='a run that is finished: make demo')
    parser.add_argument('--output', default='docs', help='the folder for demo.png and report.png (default: docs)')
    options = parser.parse_args(arguments)
    return run_command(lambda: make_images(options))


def make_images(options: argparse.Namespace) -> None:
    """Writes both images and prints their names."""
    page = write_run_page(options.workdir)
    previews = preview_files(page.parent)
    if not previews:
        raise UserError(f'--workdir={options.workdir} has no previews; make demo leaves a run that has')
    with Image.open(previews[-1][1]) as preview:
        save(preview, pathlib.Path(options.output, 'demo.png'))
    save(screenshot(page.resolve().as_uri(), WINDOW), pathlib.Path(options.output, 'report.png'), README_WIDTH)


def screenshot(url: str, window: tuple[int, int], *flags: str) -> Image.Image:
    """A page as headless Chromium shows it in a window of that size; raises UserError where there is none."""
    browser = find_browser()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, 'page.png')
        size = ','.join(map(str, window))
        common = [
            '--headless=new',
            '--no-sandbox',
            '--disable-gpu',
            '--hide-scrollbars',
            f'--user-data-dir={folder}/profile',
        ]
        command = [browser, *common, f'--window-size={size}', *flags, f'--screenshot={path}', url]
        subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)
        with Image.open(path) as image:
            return image.convert('RGB')


def save(image: Image.Image, path: pathlib.Path, width: int | None = None) -> None:
    """Writes a PNG, reduced to `width` pixels and 256 colours where that is given."""
    if width is not None:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        image = image.quantize(256)  # less than half the bytes, for a little banding
    with atomic_file(str(path)) as partial:
        image.save(partial, format='PNG', optimize=True)
    print(path)


if __name__ == '__main__':
    sys.exit(main())
