"""Milliseconds of a page that ugatit_jax.export wrote, in headless Chromium: what its visitors wait for an image of 256x256.

    python -m benchmarks.in_browser emoji_student emoji [--rounds=15]

Each model is exported as a page, which says how long its network took; one image at "twice the size of training", after two
that do not count. By WebAssembly, in one thread, as static hosts allow.
"""

import functools
import http.server
import pathlib
import re
import statistics
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.browser import chromium
from benchmarks.common import make_parser, publish, table, versions
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.export.web_page import export_page

WARM_UP, WAIT = 2, 60  # images, seconds
TOOK = re.compile(r'saw (\d+) x (\d+) pixels, for ([\d.]+) (ms|s)\.')


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


def wait_for(browser: Any, element: str, pattern: str) -> re.Match:
    """The match of an element's text, once it has one."""
    end = time.monotonic() + WAIT
    while not (match := re.search(pattern, text := browser.find_element('id', element).text)):
        if time.monotonic() > end:
            raise UserError(f'the page says {text!r}, after {WAIT} s')
        time.sleep(0.05)
    return match


def milliseconds(browser: Any, folder: pathlib.Path, image: pathlib.Path, rounds: int) -> tuple[str, float]:
    """Size that the network saw, and the median of its times."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.get(f'http://127.0.0.1:{server.server_port}/')
        wait_for(browser, 'status', 'Ready')
        browser.execute_script(
            "const s = document.getElementById('size'); s.selectedIndex = 1; s.dispatchEvent(new Event('change'))"
        )
        times = []
        for _ in range(WARM_UP + rounds):
            browser.execute_script("for (const id of ['status', 'note']) document.getElementById(id).textContent = ''")
            browser.find_element('id', 'file').send_keys(str(image))
            wait_for(browser, 'status', 'Translated')
            width, height, value, unit = wait_for(browser, 'note', TOOK.pattern).groups()
            times.append(float(value) * (1 if unit == 'ms' else 1000))
        server.shutdown()
    return f'{width}x{height}', statistics.median(times[WARM_UP:])


def measure(models: list[str], rounds: int) -> list[list]:
    """A row for each model."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        image = pathlib.Path(scratch) / 'image.png'
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)).save(image)
        for i, model in enumerate(models):
            folder = pathlib.Path(scratch) / str(i)
            export_page(model, str(folder))
            rows.append([model, *milliseconds(browser, folder, image, rounds)])
    return rows


def main() -> int:
    """The command line."""
    parser = make_parser('in_browser', __doc__)
    parser.add_argument('models', nargs='+', metavar='CHECKPOINT', help='as ugatit_jax.export has it')
    parser.add_argument('--rounds', type=int, default=15, help='(default: %(default)s)')
    options = parser.parse_args()
    configure_process()

    def run() -> None:
        info, rows = versions(), measure(options.models, options.rounds)
        print(table(['model', 'pixels', 'ms'], rows))
        publish(info, options, rows)

    return run_command(run)


if __name__ == '__main__':
    sys.exit(main())
