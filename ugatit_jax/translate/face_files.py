"""--faces: translates the faces of photos, and pastes them back or writes them as images of their own.

Each face is one of the parts of an ImageWork, so that faces of several photos share a batch.
"""

import numpy as np
from PIL import Image

from ugatit_jax.common.errors import UserError
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.faces.crop import CropBox, cut, paste
from ugatit_jax.faces.detect import require_opencv
from ugatit_jax.faces.found import faces_of
from ugatit_jax.translate.comparison_page import PageRow, make_row
from ugatit_jax.translate.fitting import restore
from ugatit_jax.translate.image_pipeline import Generated, ImageWork, OutputOptions, frames_note
from ugatit_jax.translate.input_files import read_first_frame
from ugatit_jax.translate.output_files import FileTask, face_path, write_image
from ugatit_jax.translate.translator import Translator

OPAQUE = 255


def validate_faces(
    translator: Translator, mode: str, size: int | str, fit: str | None, extras: list[str], page: bool, file_name: str
) -> None:
    """Raises UserError for what does not work together with --faces."""
    if (translator.channels, translator.out_channels) != (3, 3):
        raise UserError(
            f'--faces makes RGB images of RGB images; {translator.loaded.where} makes {translator.out_channels} channels '
            f'of {translator.channels}; leave --faces out'
        )
    if fit:
        raise UserError(f'--fit={fit} has no effect with --faces, whose crops are squares; leave one out')
    if size == 'original':
        raise UserError('--size=original with --faces: each face would need a program of its own; take train or a number')
    if extras:
        raise UserError(
            '--heatmap and --strip are for whole images, not for --faces; hint: python -m ugatit_jax.data.prepare --faces=A '
            'writes the crops, which can be translated with them'
        )
    if mode == 'crops' and page:
        raise UserError('--compare shows photos, which --faces=crops does not write; take --faces=paste')
    if mode == 'crops' and file_name:
        raise UserError(f'--faces=crops writes a file for each face, and --output={file_name} is one; name a folder')
    require_opencv()


def open_photo(translator: Translator, task: FileTask, mode: str, output_options: OutputOptions) -> ImageWork:
    """Reads a photo and cuts its faces out; raises DecodeError, also where no face is found."""
    photo, seen, frames = read_photo(task.source, translator.background)
    found = faces_of(seen)
    if not found.boxes:
        raise DecodeError(f'{found.summary()} was found; it needs one that looks to the camera (docs/faces.md)')
    parts = [translator.fit_image(cut(seen, box), output_options.size, output_options.fit) for box in found.boxes]
    if not task.targets['image'].endswith(('.png', '.webp')):  # a JPEG holds no transparency
        photo = seen

    def write(generated: list[Generated]) -> PageRow | None:
        crops = [restore(made.image, fitted) for made, fitted in zip(generated, parts)]
        if mode == 'crops':
            return write_crops(task, crops, output_options)
        return write_photo(task, photo, seen, crops, found.boxes, output_options)

    notes = [found.summary()] + ([frames_note(frames)] if frames > 1 else [])
    return ImageWork(task, parts, write, f'{task.name}: {"; ".join(notes)}')


def read_photo(path: str, background: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, int]:
    """(uint8 [H, W, 3 or 4] with the transparency that there is, uint8 [H, W, 3] as it looks, how many frames the file has).

    Raises DecodeError.
    """
    photo, frames = read_first_frame(path, 3 if path.lower().endswith('.npy') else 4, background)
    if photo.shape[-1] == 3:
        return photo, photo, frames
    if photo[..., 3].min() == OPAQUE:
        seen = np.ascontiguousarray(photo[..., :3])
        return seen, seen, frames
    height, width = photo.shape[:2]
    below = Image.new('RGBA', (width, height), (*background, OPAQUE))
    return photo, np.asarray(Image.alpha_composite(below, Image.fromarray(photo)).convert('RGB')), frames


def write_crops(task: FileTask, crops: list[np.ndarray], output_options: OutputOptions) -> None:
    """Writes NAME.face1, NAME.face2 ...: the first one last, as --skip_existing takes it for all."""
    texts, quality, credentials = output_options.metadata, output_options.quality, output_options.credentials
    for number in range(len(crops), 0, -1):
        write_image(face_path(task.targets['image'], number), crops[number - 1], texts, quality, credentials)


def write_photo(
    task: FileTask,
    photo: np.ndarray,
    seen: np.ndarray,
    crops: list[np.ndarray],
    boxes: list[CropBox],
    output_options: OutputOptions,
) -> PageRow | None:
    """Writes the photo with the translated faces in it, and returns its row of the page."""
    made = photo.copy()
    for crop, box in sorted(zip(crops, boxes), key=lambda pair: pair[1].side):  # the largest is in front
        paste(made[..., :3], crop, box)
    texts, quality, credentials = output_options.metadata, output_options.quality, output_options.credentials
    write_image(task.targets['image'], made, texts, quality, credentials, composite=True)
    return make_row(task.name, seen, made) if output_options.page else None
