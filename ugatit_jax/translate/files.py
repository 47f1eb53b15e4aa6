"""Translates files, folders and patterns: reads ahead, batches by size, writes results and the page of pairs."""

import concurrent.futures
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
import tqdm

from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import resize
from ugatit_jax.errors import UserError, first_line, named_line, printable
from ugatit_jax.files import atomic_file
from ugatit_jax.images import to_rgb
from ugatit_jax.report import page
from ugatit_jax.report.drawing import overlay
from ugatit_jax.translate import video
from ugatit_jax.translate.fitting import Fitted, restore, restore_heatmap
from ugatit_jax.translate.inputs import find_inputs, read_image
from ugatit_jax.translate.outputs import PAGE, Job, one_line, plan, provenance, validate_not_existing, write_image
from ugatit_jax.translate.translator import Translator

PAGE_SIDE, PAGE_QUALITY = 384, 88  # of images in the page, which holds them all
WAITING_BATCHES = 4  # of images of other sizes, before one that is not full has to go

Failures = list[tuple[str, str]]  # (name, reason)


class OutputOptions(NamedTuple):
    """What is to be made of each image."""

    size: int | str
    fit: str | None
    quality: int
    texts: dict[str, str]  # provenance; {} for none
    page: bool


class Pair(NamedTuple):
    """One row of the page."""

    name: str
    given: str  # data URIs
    made: str


def translate(
    translator: Translator,
    inputs: list[str],
    output: str,
    *,
    size: int | str = 'train',
    fit: str | None = None,
    suffix: str = 'png',
    quality: int = 95,
    heatmap: bool = False,
    strip: bool = False,
    compare: bool = False,
    overwrite: bool = False,
    metadata: bool = True,
) -> tuple[int, Failures]:
    """Translates files, folders and patterns into `output`; returns how many there were and which failed, with reasons.

    Raises UserError for what concerns all of them, before anything is computed or written.
    """
    translator.side(size), translator.fit_mode(fit)
    if fit and size == 'original':
        raise UserError(f'--fit={fit} has no effect with --size=original, which keeps the shape; leave one out')
    if translator.out_channels not in (1, 3, 4):
        suffix = 'npy'
    elif suffix == 'jpg' and translator.out_channels == 4:
        raise UserError('--format=jpg holds no transparency, and this model makes RGBA images; take png or webp')
    if suffix == 'npy' and (heatmap or strip or compare):
        raise UserError(
            f'--heatmap, --strip and --compare draw images, not the {translator.out_channels} channels of this model'
        )
    if (heatmap or strip) and not has_heatmap(translator):
        raise UserError(f'{translator.loaded.where} has no heatmap: its generators have no CAM')
    found = find_inputs(inputs, output)
    extras = [name for name, wanted in (('heatmap', heatmap), ('strip', strip)) if wanted]
    jobs = plan(found, output, f'.{suffix}', extras, compare)
    if not overwrite:
        validate_not_existing(jobs, output, compare)
    videos = [job for job in jobs if 'video' in job.targets]
    if videos:
        video.require_av()
        if len(videos) == len(jobs) and (extras or compare):
            raise UserError('--heatmap, --strip and --compare are for images; there are only videos')
    if strip:
        _ = translator.back  # read now: that it is missing should be known before the first image
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f'--output={output} cannot be made: {first_line(error)}') from error

    texts = provenance(translator.model, translator.direction) if metadata else {}
    wishes = OutputOptions(size, fit, quality, texts, compare)
    images = [job for job in jobs if job not in videos]
    failures, pairs = translate_images(translator, images, wishes)
    for job in videos:
        failures += translate_video(translator, job, wishes)
    if compare:
        write_page(os.path.join(output, PAGE), pairs, translator, texts)
    return len(jobs), failures


def has_heatmap(translator: Translator) -> bool:
    """Whether the generator has CAM; nothing is computed."""
    x = jax.ShapeDtypeStruct((1, translator.image_size, translator.image_size, translator.channels), np.uint8)
    return jax.eval_shape(translator.forward, translator.params, x)[1] is not None


def translate_images(translator: Translator, jobs: list[Job], wishes: OutputOptions) -> tuple[Failures, list[Pair]]:
    """All images in batches of one size; returns what failed, and rows of the page in the jobs' order."""
    failures, rows = [], {}
    waiting: dict[tuple[int, ...], list[tuple[Job, Fitted]]] = {}
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm.tqdm(total=len(jobs), unit='images', disable=None if jobs else True) as bar,
    ):

        def run(batch: list[tuple[Job, Fitted]]) -> None:
            for job, result in zip([job for job, _ in batch], finish_batch(translator, batch, wishes, pool)):
                if isinstance(result, str):
                    failures.append((job.name, result))
                elif result is not None:
                    rows[job.name] = result
            bar.update(len(batch))

        for job, read in read_ahead(translator, jobs, wishes, pool):
            if isinstance(read, str):
                failures.append((job.name, read))
                bar.update()
                continue
            group = waiting.setdefault(read.pixels.shape, [])
            group.append((job, read))
            if len(group) == translator.batch_size:
                run(waiting.pop(read.pixels.shape))
            elif sum(map(len, waiting.values())) > WAITING_BATCHES * translator.batch_size:
                run(waiting.pop(next(iter(waiting))))
        for group in waiting.values():
            run(group)
    return failures, [rows[job.name] for job in jobs if job.name in rows]


def read_ahead(
    translator: Translator, jobs: list[Job], wishes: OutputOptions, pool: concurrent.futures.Executor
) -> Iterator[tuple[Job, Fitted | str]]:
    """Images as the network takes them, or why not, read while others are computed: two batches ahead."""

    def read(job: Job) -> Fitted | str:
        try:
            pixels = read_image(job.source, translator.channels, translator.background)
            return translator.fit(pixels, wishes.size, wishes.fit)
        except DecodeError as error:
            return str(error)
        except (MemoryError, ValueError) as error:
            return named_line(error)

    ahead: list[tuple[Job, concurrent.futures.Future]] = []
    for job in jobs:
        ahead.append((job, pool.submit(read, job)))
        if len(ahead) > 2 * translator.batch_size:
            first, future = ahead.pop(0)
            yield first, future.result()
    for job, future in ahead:
        yield job, future.result()


def finish_batch(
    translator: Translator, batch: list[tuple[Job, Fitted]], wishes: OutputOptions, pool: concurrent.futures.Executor
) -> list[Pair | str | None]:
    """Computes and writes one batch: for each a row of the page (None without one), or why it failed."""
    try:
        out = translator.run(np.stack([fitted.pixels for _, fitted in batch]))
        again = translator.back.run(out.image).image if 'strip' in batch[0][0].targets else [None] * len(batch)
    except jax.errors.JaxRuntimeError as error:
        way_out = 'a smaller --batch_size, --tile or --size takes less memory'
        return [f'{first_line(error)[:200]}; {way_out}'] * len(batch)
    heatmaps = [None] * len(batch) if out.heatmap is None else out.heatmap

    def write(item: tuple) -> Pair | str | None:
        (job, fitted), image, heatmap, rec = item
        try:
            return write_results(job, fitted, image, heatmap, rec, wishes)
        except (OSError, ValueError) as error:  # a WebP above its largest side is a ValueError
            return f'cannot be written: {first_line(error)}'

    return list(pool.map(write, zip(batch, out.image, heatmaps, again)))


def write_results(
    job: Job, fitted: Fitted, image: np.ndarray, heatmap: np.ndarray | None, rec: np.ndarray | None, wishes: OutputOptions
) -> Pair | None:
    """Writes the files of one image; image, heatmap, rec (the cycle's): as the network made them."""
    made = restore(image, fitted)
    write_image(job.targets['image'], made, wishes.texts, wishes.quality)
    if {'heatmap', 'strip'} & job.targets.keys():
        looked = overlay(fitted.shown[None], restore_heatmap(heatmap, fitted)[None])[0]
    if 'heatmap' in job.targets:
        write_image(job.targets['heatmap'], looked, wishes.texts, wishes.quality)
    if 'strip' in job.targets:  # as the releases have it, an image below the other
        parts = [rgb(fitted.shown), looked, rgb(made), rgb(restore(rec, fitted))]
        write_image(job.targets['strip'], np.concatenate(parts), wishes.texts, wishes.quality)
    return Pair(printable(job.name), thumbnail(fitted.shown), thumbnail(made)) if wishes.page else None


def rgb(pixels: np.ndarray) -> np.ndarray:
    """uint8 [h, w, C] -> [h, w, 3]."""
    return to_rgb(pixels)


def thumbnail(pixels: np.ndarray) -> str:
    """A data URI of an image, reduced to what a page has room for."""
    height, width = pixels.shape[:2]
    scale = min(1, PAGE_SIDE / max(height, width))
    small = resize(rgb(pixels), max(1, round(width * scale)), max(1, round(height * scale)))
    return page.data_uri(small, PAGE_QUALITY)


def translate_video(translator: Translator, job: Job, wishes: OutputOptions) -> Failures:
    """One video with a progress bar of its own; returns why it failed."""
    try:
        with tqdm.tqdm(unit='frames', desc=printable(job.name), disable=None) as bar:
            video.translate_video(
                translator,
                job.source,
                job.targets['video'],
                size=wishes.size,
                fit=wishes.fit,
                comment=one_line(wishes.texts),
                progress=bar.update,
            )
    except UserError as error:
        return [(job.name, str(error))]
    return []


def write_page(path: str, pairs: list[Pair], translator: Translator, texts: dict[str, str]) -> None:
    """Writes the page of pairs; raises UserError."""
    source, target = translator.direction.upper().split('2')
    html = page.render(
        'compare.html', pairs=pairs, model=translator.model, source=source, target=target, software=texts.get('Software')
    )
    try:
        with atomic_file(path) as partial:
            pathlib.Path(partial).write_text(html, encoding='utf-8')
    except OSError as error:
        raise UserError(f'{path} cannot be written: {first_line(error)}') from error
