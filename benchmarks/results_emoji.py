"""docs/results.md on emoji: the shipped model beside the true images, and the curve of its training."""

import pathlib

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

import ugatit_jax
from benchmarks.common import read_evaluations, table
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
from ugatit_jax.translate.defaults import DIRECTIONS

SHIPPED = 'emoji'
STAGES = ('emoji64', 'emoji128')  # of its training, each started from the weights of the one before (init_from)
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


def all_stages(runs: list[pathlib.Path]) -> list[dict[str, float]]:
    """Evaluations of all stages, with 'step' counted from the first stage's start."""
    rows, offset = [], 0
    for run in runs:
        rows += [row | {'step': row['step'] + offset} for row in read_evaluations(run)]
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


def shipped_model(runs: pathlib.Path) -> dict[str, str | Image.Image]:
    """The table and the images of the model that comes with the package; no run is needed."""
    sources = test_sources()
    images = {domain: all_images(source) for domain, source in sources.items()}
    fakes = translate_all(SHIPPED, images)
    return {'emoji': truth_table(images, fakes), 'emoji.png': sheet(images, fakes, list(sources['A'].keys))}


def training_curve(runs: pathlib.Path) -> dict[str, Figure]:
    """The truth metrics over the steps of STAGES in `runs`."""
    return {'emoji_curve.png': curve(all_stages([runs / name for name in STAGES]))}
