"""Translates files, folders and patterns: plans the results, then images, videos and the page."""

import os
import pathlib
from typing import NamedTuple

import jax

from ugatit_jax.common.errors import UserError, short_line
from ugatit_jax.common.files import make_folder
from ugatit_jax.common.progress import Progress
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.translate import video
from ugatit_jax.translate.comparison_page import PageRow, make_row, write_page
from ugatit_jax.translate.face_files import open_photo, validate_faces
from ugatit_jax.translate.image_pipeline import (
    LESS_MEMORY,
    Failure,
    ImageWork,
    OutputOptions,
    translate_images,
    whole_image,
)
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
)
from ugatit_jax.translate.provenance import Credentials, validate_signable
from ugatit_jax.translate.temporal import validate_temporal
from ugatit_jax.translate.translator import Translator


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
    temporal: int = 0,
    image_format: str = 'png',
    quality: int = DEFAULT_QUALITY,
    heatmap: bool = False,
    strip: bool = False,
    compare: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
    faces: str = '',
    metadata: bool = True,
    credentials: Credentials | None = None,
) -> Outcome:
    """Translates files, folders and patterns into the folder `output`; one image or video into a file that `output` names.

    skip_existing: results that are there are kept, whatever made them, and only missing ones are made. Raises UserError for
    what concerns all of them, before anything is computed or written.
    """
    extras = [name for name, wanted in (('heatmap', heatmap), ('strip', strip)) if wanted]
    output, file_name = split_output(output, inputs)
    if file_name and not video.is_video(file_name):
        image_format = pathlib.Path(file_name).suffix[1:].lower()
    image_format = validate_options(translator, size, fit, image_format, extras, compare)
    if faces:
        validate_faces(translator, faces, size, fit, extras, compare, file_name)
    found, suffix = find_inputs(inputs, output), f'.{image_format}'
    if file_name:
        found, named = [(path, file_name) for path, _ in found], pathlib.Path(file_name).suffix
        suffix = named if named.lower() == suffix else suffix  # x.JPG stays so
    tasks = plan_outputs(found, output, suffix, extras, compare, faces == 'crops')
    if file_name:  # messages and the page name the input
        tasks = [task._replace(name=os.path.basename(task.source)) for task in tasks]
    planned, done = tasks, []
    if skip_existing:
        tasks, done = split_done(planned)
    elif not overwrite:
        validate_not_existing(tasks, output, compare)
    if credentials:
        validate_signable(target for task in tasks for target in task.targets.values())
    videos = [task for task in tasks if 'video' in task.targets]
    if temporal and not any('video' in task.targets for task in planned):
        raise UserError('--temporal is for videos; there are only images')
    if videos:
        if faces:
            raise UserError(f'--faces is for photos, and {videos[0].source} is a video; leave one out')
        video.require_av()
        if temporal:
            validate_temporal(temporal)
        if len(videos) == len(planned) and (extras or compare):
            raise UserError('--heatmap, --strip and --compare are for images; there are only videos')
    if strip:
        _ = translator.reverse  # read now: that it is missing should be known before the first image
    make_folder(output, f'--output={output}')

    remove_partials(tasks)
    texts = provenance(translator.model, translator.direction, faces == 'paste') if metadata else {}
    output_options = OutputOptions(size, fit, temporal, quality, texts, compare, credentials)
    images = [task for task in tasks if 'image' in task.targets]

    def open_work(task: FileTask) -> ImageWork:
        if faces:
            return open_photo(translator, task, faces, output_options)
        return whole_image(translator, task, output_options)

    failures, rows = translate_images(translator, images, open_work)
    for task in videos:
        failures += translate_video(translator, task, output_options)
    if compare:
        for task in done:
            if 'image' in task.targets and (row := row_of_files(translator, task, output_options, bool(faces))):
                rows[task.name] = row
        in_order = [rows[task.name] for task in planned if task.name in rows]
        write_page(os.path.join(output, PAGE_NAME), in_order, translator.model, translator.direction, texts.get('Software'))
    return Outcome(len(planned), len(done), failures)


def row_of_files(translator: Translator, task: FileTask, output_options: OutputOptions, whole: bool) -> PageRow | None:
    """The row of an image whose result is there; None where one of the two cannot be read.

    whole: the result shows all of the image, whatever `fit` leaves out of what the generator sees.
    """
    try:
        pixels = read_image(task.source, translator.channels, translator.background)
        fitted = translator.fit_image(pixels, output_options.size, output_options.fit)
        original = pixels if whole else fitted.original
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
                temporal=output_options.temporal,
                comment=one_line(output_options.metadata),
                progress=bar.update,
                say=bar.say,
            )
    except UserError as error:
        return [Failure(task.name, str(error))]
    except jax.errors.JaxRuntimeError as error:
        return [Failure(task.name, f'{short_line(error)}; {LESS_MEMORY}')]
    return []
