"""Translates image files: reads ahead in threads, batches images of one shape, writes results and rows of the page."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from ugatit_jax.common.errors import UserError, first_line, named_line, short_line
from ugatit_jax.common.images import to_rgb
from ugatit_jax.common.progress import Progress
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.report.drawing import overlay, strip
from ugatit_jax.translate.comparison_page import PageRow, make_row
from ugatit_jax.translate.fitting import FittedImage, restore, restore_heatmap
from ugatit_jax.translate.input_files import read_first_frame
from ugatit_jax.translate.output_files import FileTask, write_image
from ugatit_jax.translate.provenance import Credentials
from ugatit_jax.translate.translator import Translator

READ_AHEAD_BATCHES = 2  # that threads read while one is computed: more than one, as reading times differ
LESS_MEMORY = 'a smaller --batch_size, --tile or --size takes less memory'
MAX_WAITING_BATCHES = 4  # images of other shapes that may wait, in batches, before an incomplete batch runs

Item = TypeVar('Item')


class OutputOptions(NamedTuple):
    """What to make of each image."""

    size: int | str
    fit: str | None
    temporal: int  # frames that a video is averaged over; 0 for none
    quality: int
    metadata: dict[str, str]  # provenance; {} for none
    page: bool
    credentials: Credentials | None


class Failure(NamedTuple):
    """A file that could not be translated, and why."""

    name: str
    reason: str


class Generated(NamedTuple):
    """What the generators made of one FittedImage, at the size of its pixels."""

    image: np.ndarray  # [h, w, C]
    heatmap: np.ndarray | None
    rec: np.ndarray | None  # the cycle's image, for the strip


@dataclasses.dataclass
class ImageWork:
    """A file that was read: what the generator sees of it, and what is done when all of that is translated."""

    task: FileTask
    parts: list[FittedImage]  # the image, or each face in it
    write: Callable[[list[Generated]], PageRow | None]  # of all parts, in their order
    note: str = ''  # about the file, for people; '' for none
    generated: dict[int, Generated] = dataclasses.field(default_factory=dict)  # by the number of the part
    failed: bool = False


def whole_image(translator: Translator, task: FileTask, output_options: OutputOptions) -> ImageWork:
    """Reads an image that is translated as a whole; raises DecodeError."""
    pixels, frames = read_first_frame(task.source, translator.channels, translator.background)
    fitted = translator.fit_image(pixels, output_options.size, output_options.fit)
    note = f'{task.name}: {frames_note(frames)}' if frames > 1 else ''
    return ImageWork(task, [fitted], lambda generated: write_image_files(task, fitted, generated[0], output_options), note)


def frames_note(frames: int) -> str:
    """Tells of an animation, or an image of several pages, that its first frame is what is translated."""
    return f'the first of {frames} frames; as a film, such as an .mp4, all are translated'


def translate_images(
    translator: Translator, tasks: list[FileTask], open_work: Callable[[FileTask], ImageWork]
) -> tuple[list[Failure], dict[str, PageRow]]:
    """Translates all images in batches of one shape; returns what failed, and rows of the page by the tasks' names.

    open_work: reads a file; called in threads, ahead of the computation. It raises DecodeError for files that do not work.
    """
    failures, rows = [], {}
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        Progress('translating', len(tasks)) as bar,
    ):

        def parts() -> Iterator[tuple[tuple[ImageWork, int], FittedImage]]:
            for work in read_ahead(tasks, open_work, READ_AHEAD_BATCHES * translator.batch_size, pool):
                if isinstance(work, Failure):
                    failures.append(work)
                    bar.update()
                    continue
                if work.note:
                    bar.say(work.note)
                for number, fitted in enumerate(work.parts):
                    yield (work, number), fitted

        for batch in batches_by_shape(parts(), translator.batch_size):
            complete = []
            for (work, number), made in zip([item for item, _ in batch], run_batch(translator, batch)):
                if work.failed:  # with another of its parts
                    continue
                if isinstance(made, str):
                    work.failed = True
                    failures.append(Failure(work.task.name, made))
                    bar.update()
                    continue
                work.generated[number] = made
                if len(work.generated) == len(work.parts):
                    complete.append(work)
            for work, result in zip(complete, pool.map(write_work, complete)):
                if isinstance(result, Failure):
                    failures.append(result)
                elif result is not None:
                    rows[work.task.name] = result
                bar.update()
    return failures, rows


def read_ahead(
    tasks: list[FileTask], open_work: Callable[[FileTask], ImageWork], most: int, pool: concurrent.futures.Executor
) -> Iterator[ImageWork | Failure]:
    """Files that were read, in their order, in threads and at most `most` of them while earlier ones are computed."""

    def read(task: FileTask) -> ImageWork | Failure:
        try:
            return open_work(task)
        except DecodeError as error:
            return Failure(task.name, str(error))
        except (MemoryError, ValueError) as error:
            return Failure(task.name, named_line(error))

    reading: list[concurrent.futures.Future] = []
    for task in tasks:
        reading.append(pool.submit(read, task))
        if len(reading) > most:
            yield reading.pop(0).result()
    for future in reading:
        yield future.result()


def batches_by_shape(
    images: Iterable[tuple[Item, FittedImage]], batch_size: int
) -> Iterator[list[tuple[Item, FittedImage]]]:
    """Batches of images of one shape; incomplete ones at the end, and where too many images wait for their batch."""
    waiting: dict[tuple[int, ...], list[tuple[Item, FittedImage]]] = {}
    for item, image in images:
        batch = waiting.setdefault(image.pixels.shape, [])
        batch.append((item, image))
        if len(batch) == batch_size:
            yield waiting.pop(image.pixels.shape)
        elif sum(map(len, waiting.values())) > MAX_WAITING_BATCHES * batch_size:
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def run_batch(translator: Translator, batch: list[tuple[tuple[ImageWork, int], FittedImage]]) -> list[Generated | str]:
    """What the generators make of each image of a batch, or why they could not."""
    try:
        out = translator.run(np.stack([fitted.pixels for _, fitted in batch]))
        wants_cycle = 'strip' in batch[0][0][0].task.targets
        cycled = translator.reverse.run(out.image).image if wants_cycle else [None] * len(batch)
    except jax.errors.JaxRuntimeError as error:
        return [f'{short_line(error)}; {LESS_MEMORY}'] * len(batch)
    heatmaps = [None] * len(batch) if out.heatmap is None else out.heatmap
    return list(map(Generated, out.image, heatmaps, cycled))


def write_work(work: ImageWork) -> PageRow | Failure | None:
    """Writes the files of an image whose parts are all translated; returns its row of the page, None without a page."""
    try:
        return work.write([work.generated[number] for number in range(len(work.parts))])
    except (OSError, ValueError, UserError) as error:  # a WebP above its largest side is a ValueError
        return Failure(work.task.name, f'cannot be written: {first_line(error)}')


def write_image_files(
    task: FileTask, fitted: FittedImage, generated: Generated, output_options: OutputOptions
) -> PageRow | None:
    """Writes the files of one image, and returns its row of the page."""
    targets, credentials = task.targets, output_options.credentials
    texts, quality = output_options.metadata, output_options.quality
    translated = restore(generated.image, fitted)
    write_image(targets['image'], translated, texts, quality, credentials)
    attention = None
    if {'heatmap', 'strip'} & targets.keys() or (output_options.page and generated.heatmap is not None):
        attention = overlay(fitted.original[None], restore_heatmap(generated.heatmap, fitted)[None])[0]
    if 'heatmap' in targets:
        write_image(targets['heatmap'], attention, texts, quality, credentials, composite=True)
    if 'strip' in targets:  # from top to bottom, as the official releases save them
        parts = (to_rgb(fitted.original), attention, to_rgb(translated), to_rgb(restore(generated.rec, fitted)))
        drawn = strip(dict(zip(('input', 'heatmap', 'output', 'and back'), parts)))
        write_image(targets['strip'], drawn, texts, quality, credentials, composite=True)
    return make_row(task.name, fitted.original, translated, attention) if output_options.page else None
