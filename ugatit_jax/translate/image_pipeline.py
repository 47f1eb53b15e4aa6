"""Translates image files: reads ahead in threads, batches images of one shape, writes results and rows of the page."""

import concurrent.futures
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from ugatit_jax.data.decode import DecodeError
from ugatit_jax.errors import UserError, first_line, named_line, short_line
from ugatit_jax.images import to_rgb
from ugatit_jax.progress import Progress
from ugatit_jax.report.drawing import overlay, strip
from ugatit_jax.translate.comparison_page import PageRow, make_row
from ugatit_jax.translate.fitting import FittedImage, restore, restore_heatmap
from ugatit_jax.translate.input_files import read_image
from ugatit_jax.translate.output_files import FileTask, write_image
from ugatit_jax.translate.provenance import Credentials
from ugatit_jax.translate.translator import Translator

READ_AHEAD_BATCHES = 2  # that threads read while one is computed: more than one, as reading times differ
MAX_WAITING_BATCHES = 4  # images of other shapes that may wait, in batches, before an incomplete batch runs


class OutputOptions(NamedTuple):
    """What to make of each image."""

    size: int | str
    fit: str | None
    quality: int
    metadata: dict[str, str]  # provenance; {} for none
    page: bool
    credentials: Credentials | None


class Failure(NamedTuple):
    """A file that could not be translated, and why."""

    name: str
    reason: str


def translate_images(
    translator: Translator, tasks: list[FileTask], output_options: OutputOptions
) -> tuple[list[Failure], dict[str, PageRow]]:
    """Translates all images in batches of one shape; returns what failed, and rows of the page by the tasks' names."""
    failures, rows = [], {}
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress('translating', len(tasks)) as bar,
    ):

        def readable() -> Iterator[tuple[FileTask, FittedImage]]:
            for task, image in read_ahead(translator, tasks, output_options, pool):
                if isinstance(image, Failure):
                    failures.append(image)
                    bar.update()
                else:
                    yield task, image

        for batch in batches_by_shape(readable(), translator.batch_size):
            for (task, _), result in zip(batch, translate_batch(translator, batch, output_options, pool)):
                if isinstance(result, Failure):
                    failures.append(result)
                elif result is not None:
                    rows[task.name] = result
            bar.update(len(batch))
    return failures, rows


def read_ahead(
    translator: Translator, tasks: list[FileTask], output_options: OutputOptions, pool: concurrent.futures.Executor
) -> Iterator[tuple[FileTask, FittedImage | Failure]]:
    """Images as the generator takes them, read in threads while earlier ones are computed."""

    def read(task: FileTask) -> FittedImage | Failure:
        try:
            pixels = read_image(task.source, translator.channels, translator.background)
            return translator.fit_image(pixels, output_options.size, output_options.fit)
        except DecodeError as error:
            return Failure(task.name, str(error))
        except (MemoryError, ValueError) as error:
            return Failure(task.name, named_line(error))

    reading: list[tuple[FileTask, concurrent.futures.Future]] = []
    for task in tasks:
        reading.append((task, pool.submit(read, task)))
        if len(reading) > READ_AHEAD_BATCHES * translator.batch_size:
            first, future = reading.pop(0)
            yield first, future.result()
    for task, future in reading:
        yield task, future.result()


def batches_by_shape(
    images: Iterable[tuple[FileTask, FittedImage]], batch_size: int
) -> Iterator[list[tuple[FileTask, FittedImage]]]:
    """Batches of images of one shape; incomplete ones at the end, and where too many images wait for their batch."""
    waiting: dict[tuple[int, ...], list[tuple[FileTask, FittedImage]]] = {}
    for task, image in images:
        batch = waiting.setdefault(image.pixels.shape, [])
        batch.append((task, image))
        if len(batch) == batch_size:
            yield waiting.pop(image.pixels.shape)
        elif sum(map(len, waiting.values())) > MAX_WAITING_BATCHES * batch_size:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def translate_batch(
    translator: Translator,
    batch: list[tuple[FileTask, FittedImage]],
    output_options: OutputOptions,
    pool: concurrent.futures.Executor,
) -> list[PageRow | Failure | None]:
    """Translates one batch and writes its files; returns for each image its row of the page, None without a page."""
    try:
        out = translator.run(np.stack([fitted.pixels for _, fitted in batch]))
        wants_cycle = 'strip' in batch[0][0].targets
        cycled = translator.reverse.run(out.image).image if wants_cycle else [None] * len(batch)
    except jax.errors.JaxRuntimeError as error:
        reason = f'{short_line(error)}; a smaller --batch_size, --tile or --size takes less memory'
        return [Failure(task.name, reason) for task, _ in batch]
    heatmaps = [None] * len(batch) if out.heatmap is None else out.heatmap

    def write(item: tuple) -> PageRow | Failure | None:
        (task, fitted), fake, heatmap, rec = item
        try:
            return write_image_files(task, fitted, fake, heatmap, rec, output_options)
        except (OSError, ValueError, UserError) as error:  # a WebP above its largest side is a ValueError
            return Failure(task.name, f'cannot be written: {first_line(error)}')

    return list(pool.map(write, zip(batch, out.image, heatmaps, cycled)))


def write_image_files(
    task: FileTask,
    fitted: FittedImage,
    fake: np.ndarray,
    heatmap: np.ndarray | None,
    rec: np.ndarray | None,
    output_options: OutputOptions,
) -> PageRow | None:
    """Writes the files of one image, and returns its row of the page.

    fake, heatmap, rec (the cycle's image, for the strip): as the generators made them, at the size of fitted.pixels.
    """
    targets, credentials = task.targets, output_options.credentials
    texts, quality = output_options.metadata, output_options.quality
    translated = restore(fake, fitted)
    write_image(targets['image'], translated, texts, quality, credentials)
    attention = None
    if {'heatmap', 'strip'} & targets.keys() or (output_options.page and heatmap is not None):
        attention = overlay(fitted.original[None], restore_heatmap(heatmap, fitted)[None])[0]
    if 'heatmap' in targets:
        write_image(targets['heatmap'], attention, texts, quality, credentials, composite=True)
    if 'strip' in targets:  # from top to bottom, as the official releases save them
        parts = (to_rgb(fitted.original), attention, to_rgb(translated), to_rgb(restore(rec, fitted)))
        drawn = strip(dict(zip(('input', 'heatmap', 'output', 'and back'), parts)))
        write_image(targets['strip'], drawn, texts, quality, credentials, composite=True)
    return make_row(task.name, fitted.original, translated, attention) if output_options.page else None
