"""Translates files, folders and patterns: reads ahead, batches images of one shape, writes results and the page."""

import concurrent.futures
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from ugatit_jax.data.decode import DecodeError
from ugatit_jax.errors import UserError, first_line, named_line, short_line
from ugatit_jax.images import to_rgb
from ugatit_jax.progress import Progress
from ugatit_jax.report.drawing import overlay, strip
from ugatit_jax.translate import video
from ugatit_jax.translate.comparison_page import PageRow, make_row, write_page
from ugatit_jax.translate.fitting import FittedImage, restore, restore_heatmap
from ugatit_jax.translate.input_files import find_inputs, read_image
from ugatit_jax.translate.output_files import (
    DEFAULT_QUALITY,
    PAGE_NAME,
    FileTask,
    one_line,
    plan_outputs,
    provenance,
    remove_partials,
    split_done,
    split_output,
    validate_not_existing,
    write_image,
)
from ugatit_jax.translate.provenance import Credentials, validate_signable
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


class Outcome(NamedTuple):
    """What became of the files of a call."""

    total: int
    skipped: int  # as their results were there
    failures: list[Failure]


def translate_files(
    translator: Translator,
    inputs: list[str],
    output: str,
    *,
    size: int | str = 'train',
    fit: str | None = None,
    image_format: str = 'png',
    quality: int = DEFAULT_QUALITY,
    heatmap: bool = False,
    strip: bool = False,
    compare: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    metadata: bool = True,
    credentials: Credentials | None = None,
) -> Outcome:
    """Translates files, folders and patterns into the folder `output`; one image into a file where `output` names one.

    skip_existing: results that are there are kept, whatever made them, and only missing ones are made. Raises UserError for
    what concerns all of them, before anything is computed or written.
    """
    extras = [name for name, wanted in (('heatmap', heatmap), ('strip', strip)) if wanted]
    output, file_name = split_output(output, inputs)
    image_format = pathlib.Path(file_name).suffix[1:].lower() or image_format
    image_format = validate_options(translator, size, fit, image_format, extras, compare)
    found = find_inputs(inputs, output)
    if file_name:
        found = [(path, file_name) for path, _ in found]
    tasks = plan_outputs(found, output, f'.{image_format}', extras, compare)
    planned, done = tasks, []
    if skip_existing:
        tasks, done = split_done(planned)
    elif not overwrite:
        validate_not_existing(tasks, output, compare)
    if credentials:
        validate_signable(target for task in tasks for target in task.targets.values())
    videos = [task for task in tasks if 'video' in task.targets]
    if videos:
        video.require_av()
        if len(videos) == len(planned) and (extras or compare):
            raise UserError('--heatmap, --strip and --compare are for images; there are only videos')
    if strip:
        _ = translator.reverse  # read now: that it is missing should be known before the first image
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f'--output={output} cannot be made: {first_line(error)}') from error

    remove_partials(tasks)
    texts = provenance(translator.model, translator.direction) if metadata else {}
    output_options = OutputOptions(size, fit, quality, texts, compare, credentials)
    images = [task for task in tasks if 'image' in task.targets]
    failures, rows = translate_images(translator, images, output_options)
    for task in videos:
        failures += translate_video(translator, task, output_options)
    if compare:
        for task in done:
            if 'image' in task.targets and (row := row_of_files(translator, task, output_options)):
                rows[task.name] = row
        in_order = [rows[task.name] for task in planned if task.name in rows]
        write_page(os.path.join(output, PAGE_NAME), in_order, translator.model, translator.direction, texts.get('Software'))
    return Outcome(len(planned), len(done), failures)


def row_of_files(translator: Translator, task: FileTask, output_options: OutputOptions) -> PageRow | None:
    """The row of an image whose result is there; None where one of the two cannot be read."""
    try:
        pixels = read_image(task.source, translator.channels, translator.background)
        original = translator.fit_image(pixels, output_options.size, output_options.fit).original
        translated = read_image(task.targets['image'], translator.out_channels, translator.background)
        attention = read_image(task.targets['heatmap'], 3, translator.background) if 'heatmap' in task.targets else None
        return make_row(task.name, original, translated, attention)
    except (DecodeError, MemoryError, ValueError):
        return None


def validate_options(
    translator: Translator, size: int | str, fit: str | None, image_format: str, extras: list[str], compare: bool
) -> str:
    """The format of images, 'npy' for numbers of channels that no other has; raises UserError for what does not fit."""
    translator.network_side(size), translator.fit_mode(fit)
    if fit and size == 'original':
        raise UserError(f'--fit={fit} has no effect with --size=original, which keeps the shape; leave one out')
    if translator.out_channels not in (1, 3, 4):  # grey, RGB, RGBA
        image_format = 'npy'
    elif image_format == 'jpg' and translator.out_channels == 4:
        raise UserError('--format=jpg holds no transparency, and this model makes RGBA images; take png or webp')
    if image_format == 'npy' and (extras or compare):
        raise UserError(
            f'--heatmap, --strip and --compare draw images, not the {translator.out_channels} channels of this model'
        )
    if extras:
        translator.require_heatmap()
    return image_format


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


def translate_video(translator: Translator, task: FileTask, output_options: OutputOptions) -> list[Failure]:
    """Translates one video with a progress bar of its own; returns the failure, if any."""
    try:
        with Progress(task.name, None, 'frames') as bar:
            video.translate_video(
                translator,
                task.source,
                task.targets['video'],
                size=output_options.size,
                fit=output_options.fit,
                comment=one_line(output_options.metadata),
                progress=bar.update,
            )
    except UserError as error:
        return [Failure(task.name, str(error))]
    return []
