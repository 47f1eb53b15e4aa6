"""Tables and figures of docs/results.md from the runs that they are of: made again by one command.

    python -m benchmarks.results --runs runs/emoji64 runs/emoji128 --shipped=emoji

--runs are stages of one training, each started from the weights of the one before (init_from). Writes docs/emoji.png (test
images beside their translations and true images), with --runs docs/emoji_curve.png (truth metrics over all steps, from each
run's evaluation.jsonl) and, in docs/results.md, the table between its markers.
"""

import argparse
import json
import pathlib
import re
import sys

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import ugatit_jax
from benchmarks.common import table
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.sharding import make_mesh
from ugatit_jax.config import default
from ugatit_jax.config.resolve import resolve
from ugatit_jax.data.sources.open_source import Source, open_source
from ugatit_jax.evaluate.colour_match import colour_statistics, match_colours
from ugatit_jax.evaluate.effnet_features import EffnetExtractor
from ugatit_jax.evaluate.effnet_weights import find_effnet
from ugatit_jax.evaluate.truth import compare
from ugatit_jax.models.names import source_of, target_of
from ugatit_jax.report.curves import BLUES, ORANGES, STYLE

DIRECTIONS = ('a2b', 'b2a')
NAMES = 'dog-face pig alien fish maple-leaf melon sunflower rocket alarm-clock trolleybus'
SHOWN = [f'{name}.webp' for name in NAMES.split()]
CELL, GAP, TITLE_WIDTH = 84, 8, 64  # pixels, of an image in the sheet, between its groups, of its titles
CURVES = {'truth_l1_share': "L1 to the true image, share of the input's", 'truth_perceptual': 'perceptual distance'}


def test_sources() -> dict[str, Source]:
    """The embedded test images of both domains."""
    config = default.get_config()
    config.data.source, config.data.image_size = 'emoji', 128
    return {domain: open_source(resolve(config), domain, 'test') for domain in 'AB'}


def all_images(source: Source) -> np.ndarray:
    """uint8 [n, 128, 128, 3]."""
    return np.stack([source.read(i) for i in range(len(source))])


def translate_all(name: str, images: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Translations of all test images by direction."""
    result = {}
    for direction in DIRECTIONS:
        translator = ugatit_jax.load(name, direction)
        result[direction] = translator(images[source_of(direction)], size='original')
    return result


def truth_table(images: dict[str, np.ndarray], fakes: dict[str, np.ndarray]) -> str:
    """Distances of translations, inputs and colour matches to the true images, a row for each direction and method."""
    weights, reason = find_effnet(None)
    if weights is None:
        raise UserError(f'the table has perceptual distances: {reason}')
    effnet, rows = EffnetExtractor(weights, make_mesh(jax.device_count())), []
    for direction in DIRECTIONS:
        source, target = images[source_of(direction)], images[target_of(direction)]
        # fitted on the test images themselves: the best that the method can do
        statistics = colour_statistics(iter(source)), colour_statistics(iter(target))
        outputs = {
            'translation': fakes[direction],
            'input as it is': source,
            'colour match': np.stack([match_colours(image, *statistics) for image in source]),
        }
        for method, of_method in outputs.items():
            found = {key: float(value.mean()) for key, value in compare(of_method, target, effnet).items()}
            # values in [-1, 1] are twice as far apart as those in [0, 1]
            cells = found['l1'] / 2, found['psnr'], found.get('ssim', float('nan')), found['perceptual']
            if method == 'translation':
                best = cells
            rows.append((direction, method, *(f'{cell:.4f}' for cell in cells)))
            if method == 'input as it is':
                shares = best[0] / cells[0], best[3] / cells[3]
        rows.append((direction, 'share of the input', f'{shares[0]:.3f}', '', '', f'{shares[1]:.3f}'))
    return table(('direction', 'what', 'L1 of 1', 'PSNR dB', 'SSIM', 'perceptual'), rows)


def sheet(images: dict[str, np.ndarray], fakes: dict[str, np.ndarray], keys: list[str]) -> Image.Image:
    """Rows: input, translation, true image, of both directions; a column for each of SHOWN."""
    shown = [keys.index(key) for key in SHOWN]
    rows = []
    for direction in DIRECTIONS:
        source, target = source_of(direction), target_of(direction)
        titles = {f'real {source}': images[source], f'fake {target}': fakes[direction], f'true {target}': images[target]}
        rows.append([(title, of_row[shown]) for title, of_row in titles.items()])
    return draw_sheet(rows, TITLE_WIDTH)


def draw_sheet(groups: list[list[tuple[str, np.ndarray]]], title_width: int) -> Image.Image:
    """Rows of images, a title and uint8 [n, h, w, 3] each, in groups with a gap between them."""
    rows = [row for group in groups for row in group]
    canvas = Image.new('RGB', (title_width + CELL * len(rows[0][1]), CELL * len(rows) + GAP * (len(groups) - 1)), 'white')
    draw, top = ImageDraw.Draw(canvas), 0
    for group in groups:
        for title, of_row in group:
            draw.text((6, top + CELL // 2 - 6), title, fill='black')
            for x, pixels in enumerate(of_row):
                cell = Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.LANCZOS)
                canvas.paste(cell, (title_width + x * CELL, top))
            top += CELL
        top += GAP
    return canvas


def read_rows(run: pathlib.Path) -> list[dict[str, float]]:
    """Rows of a run's evaluation.jsonl; none where it has not been evaluated."""
    file = run / 'evaluation.jsonl'
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def read_evaluations(runs: list[pathlib.Path]) -> list[dict[str, float]]:
    """Rows of evaluation.jsonl of all stages, with 'step' counted from the first stage's start."""
    rows, offset = [], 0
    for run in runs:
        rows += [row | {'step': row['step'] + offset} for row in read_rows(run)]
        steps = [int(path.name) for path in (run / 'checkpoints').glob('*') if path.name.isdecimal()]
        if not steps:
            raise UserError(f'{run} has no checkpoint: it is not a stage of a training')
        offset += max(steps)
    return rows


def curve(rows: list[dict[str, float]]) -> Figure:
    """The truth metrics over the steps of all stages."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure((8, 2.8), layout='constrained')
        for axes, (name, title) in zip(figure.subplots(1, len(CURVES)), CURVES.items()):
            for direction, colour in (('A2B', BLUES[0]), ('B2A', ORANGES[0])):
                points = [(row['step'], row[f'{name}_{direction}']) for row in rows if f'{name}_{direction}' in row]
                if points:
                    axes.plot(*zip(*points), color=colour, marker='.', label=direction)
            axes.set_title(title, loc='left')
            axes.set_xlabel('step')
            axes.legend(frameon=False)
    return figure


def replace_between(text: str, name: str, content: str) -> str:
    """The text with `content` between the markers of `name`; raises UserError where there are none."""
    begin, end = f'<!-- begin {name} -->', f'<!-- end {name} -->'
    if begin not in text or end not in text:
        raise UserError(f'docs/results.md has no markers {begin} ... {end}')
    return re.sub(f'{re.escape(begin)}.*?{re.escape(end)}', lambda _: f'{begin}\n{content}\n{end}', text, flags=re.DOTALL)


def make_results(options: argparse.Namespace) -> None:
    """Writes all tables and figures."""
    configure_process()
    docs = pathlib.Path(options.docs)
    sources = test_sources()
    images = {domain: all_images(source) for domain, source in sources.items()}
    fakes = translate_all(options.shipped, images)
    sheet(images, fakes, list(sources['A'].keys)).save(docs / 'emoji.png', optimize=True)
    written = [docs / 'emoji.png']
    if options.runs:
        written.append(docs / 'emoji_curve.png')
        curve(read_evaluations([pathlib.Path(run) for run in options.runs])).savefig(written[-1], dpi=110)
    page = docs / 'results.md'
    page.write_text(replace_between(page.read_text(), 'emoji', truth_table(images, fakes)))
    print(f'wrote {", ".join(map(str, written))} and the table of {page}')


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.results', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--runs', nargs='*', default=[], metavar='WORKDIR', help='stages of the training, in order')
    parser.add_argument('--shipped', default='emoji', metavar='MODEL', help='model of the sheet and the table')
    parser.add_argument('--docs', default='docs', metavar='DIR', help='where to write (default: docs)')
    options = parser.parse_args(arguments)
    return run_command(lambda: make_results(options))


if __name__ == '__main__':
    sys.exit(main())
