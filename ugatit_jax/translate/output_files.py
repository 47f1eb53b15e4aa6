"""The files that a translation writes: their names, which files they must not replace, and their format and metadata."""

import collections
import glob
import io
import os
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

import ugatit_jax
from ugatit_jax.common.errors import UserError, listed
from ugatit_jax.common.files import atomic_file, remove_abandoned, validate_local
from ugatit_jax.models.names import source_of, target_of
from ugatit_jax.translate import video
from ugatit_jax.translate.provenance import Credentials, sign

FORMATS = {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}  # --format -> Pillow's name
# of images that are not written: a folder of such a name is hardly meant
OTHER_IMAGES = ('.jpeg', '.jpe', '.jfif', '.tif', '.tiff', '.bmp', '.gif', '.avif', '.heic', '.jp2', '.jxl', '.npy')
DEFAULT_QUALITY = 95  # of JPEG and WebP; above it JPEG files grow with hardly any gain in quality (Pillow's documentation)
MAX_LISTED_FILES = 3  # in one message, which is one line
EXIF_SOFTWARE, EXIF_DESCRIPTION = 0x0131, 0x010E  # tags of the EXIF standard
PAGE_NAME = 'index.html'
FIRST_FACE = '.face1'  # before the suffix of a face's crop


class FileTask(NamedTuple):
    """One input file and the files that it is translated into."""

    source: str
    name: str  # the input's path below what was given, for messages and the page
    targets: dict[str, str]  # 'image' or 'video', and with an image 'heatmap', 'strip' where asked for -> path


def plan_outputs(
    inputs: list[tuple[str, str]], output: str, suffix: str, extras: list[str], page: bool, face_crops: bool = False
) -> list[FileTask]:
    """Tasks for inputs (path, name): names are kept below `output`, with other suffixes; raises UserError.

    face_crops: the targets of an image are that of its first face, which every result has, and those of others that exist.
    Inputs that differ in their suffix only (a.jpg, a.png) keep it: a.jpg.png, a.png.png. No two outputs have the same name,
    none is outside of `output`, and none is an input, be it by another path or a link.
    """
    for path, name in inputs:
        if os.path.isabs(name) or os.pardir in name.split(os.sep):
            raise UserError(f'{path} is outside of what its pattern begins with: {name} would be outside of {output}')
    stems = [os.path.splitext(name)[0] for _, name in inputs]
    ambiguous = {stem for stem, count in collections.Counter(stems).items() if count > 1}
    tasks, owners = [], {os.path.join(output, PAGE_NAME): 'the page'} if page else {}
    for (path, name), stem in zip(inputs, stems):
        stem = name if stem in ambiguous else stem
        if video.is_video(path):
            suffixes = {'video': video.output_suffix(name)}
        else:
            first = {'image': FIRST_FACE + suffix if face_crops else suffix}
            suffixes = first | {extra: f'.{extra}{suffix}' for extra in extras}
        targets = {kind: os.path.join(output, stem + own) for kind, own in suffixes.items()}
        if face_crops and 'image' in targets:
            targets |= existing_crops(targets['image'])
        for target in targets.values():
            if target in owners:
                raise UserError(f'{name} and {owners[target]} would both become {target}; translate them into two folders')
            owners[target] = name
        tasks.append(FileTask(path, name, targets))
    sources = {identity: path for path, _ in inputs if (identity := identity_of(path))}
    for target in owners:
        if source := sources.get(identity_of(target)):
            raise UserError(f'{target} is the input {source}, and no input is overwritten; take another --output')
    return tasks


def face_path(first: str, number: int) -> str:
    """The file of a face, NAME.face2.png, by that of the first, NAME.face1.png."""
    stem, suffix = os.path.splitext(first)
    return f'{stem[:-1]}{number}{suffix}'


def existing_crops(first: str) -> dict[str, str]:
    """The files of the second and further faces that are there already, by number: {'2': NAME.face2.png}."""
    stem, suffix = os.path.splitext(first)
    paths = glob.glob(f'{glob.escape(stem[:-1])}*{suffix}')
    numbers = {path: path.removeprefix(stem[:-1]).removesuffix(suffix) for path in paths}
    return {
        number: path for path, number in sorted(numbers.items()) if re.fullmatch('[1-9][0-9]*', number) and number != '1'
    }


def split_output(output: str, inputs: list[str]) -> tuple[str, str]:
    """--output as (folder, name): of a file where it ends like an image or a video and is no folder, else the name is ''.

    Raises UserError for a file that is to hold several of them, one of the other kind or of no format that is written, and
    for a URL.
    """
    validate_local(output, '--output')
    suffix, is_video = pathlib.Path(output).suffix.lower(), video.is_video(output)
    if suffix in OTHER_IMAGES and not os.path.isdir(output):
        kinds = ', '.join(f'.{name}' for name in FORMATS)
        raise UserError(f'--output={output}: images are written as {kinds}; take one of them')
    if not (suffix[1:] in FORMATS or is_video) or os.path.isdir(output):
        return output, ''
    if len(inputs) != 1 or not os.path.isfile(inputs[0]) or video.is_video(inputs[0]) != is_video:
        kind = 'video' if is_video else 'image'
        raise UserError(f'--output={output} is one {kind}, and --input={" ".join(inputs)} is not; name a folder')
    if is_video and suffix not in video.OUTPUT_SUFFIXES:
        raise UserError(f'--output={output}: videos are written as {", ".join(video.OUTPUT_SUFFIXES)}; take one of them')
    folder, name = os.path.split(output)
    return folder or os.curdir, name


def identity_of(path: str) -> tuple[int, int] | None:
    """What two paths of one file have in common, links of either kind followed; None where there is no file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def split_done(tasks: list[FileTask]) -> tuple[list[FileTask], list[FileTask]]:
    """(tasks that are left, tasks whose files all exist). Files are there when they are complete, so they need no more."""
    done = [all(map(os.path.isfile, task.targets.values())) for task in tasks]
    return (
        [task for task, is_done in zip(tasks, done) if not is_done],
        [task for task, is_done in zip(tasks, done) if is_done],
    )


def remove_partials(tasks: list[FileTask]) -> None:
    """Removes what killed processes left half written in the folders of the results."""
    for folder in {os.path.dirname(target) for task in tasks for target in task.targets.values()}:
        remove_abandoned(folder)


def validate_not_existing(tasks: list[FileTask], output: str, page: bool) -> None:
    """Raises UserError where a result would replace a file."""
    targets = [target for task in tasks for target in task.targets.values()]
    if page:
        targets.append(os.path.join(output, PAGE_NAME))
    existing = [target for target in targets if os.path.lexists(target)]
    if existing:
        them = 'it' if len(existing) == 1 else 'them'
        raise UserError(
            f'{listed(existing, MAX_LISTED_FILES)} {"exists" if len(existing) == 1 else "exist"}; '
            f'--overwrite replaces {them}, --skip_existing keeps {them}, or name another --output'
        )


def provenance(model: str, direction: str, composite: bool = False) -> dict[str, str]:
    """Metadata of every result: that it, or with `composite` the faces in it, are synthetic, and which model made them."""
    kind = 'synthetic faces in a photo' if composite else 'synthetic image'
    return {
        'Software': f'ugatit_jax {ugatit_jax.__version__}',
        'Description': f'{kind}: translated from {source_of(direction)} to {target_of(direction)} by U-GAT-IT',
        'Model': model,
        'Direction': direction,
    }


def one_line(metadata: dict[str, str]) -> str:
    """Metadata as one text, for formats with a single field for it."""
    return '; '.join(f'{name}: {text}' for name, text in metadata.items())


def write_image(
    path: str,
    pixels: np.ndarray,
    metadata: dict[str, str],
    quality: int = DEFAULT_QUALITY,
    credentials: Credentials | None = None,
    composite: bool = False,
) -> None:
    """Writes uint8 [h, w, C] in the format of the path's suffix with `metadata` in it, atomically; raises OSError.

    sRGB without a profile; no EXIF but the metadata. 'npy' holds the array alone. With credentials the file is signed, last,
    which raises UserError where it fails; composite: the image also shows its input.
    """
    suffix = pathlib.Path(path).suffix[1:].lower()
    with atomic_file(path) as partial, open(partial, 'wb') as file:
        if suffix == 'npy':
            np.save(file, pixels)
        else:
            file.write(encode_image(pixels, suffix, metadata, quality, credentials, composite))


def encode_image(
    pixels: np.ndarray,
    suffix: str,
    metadata: dict[str, str],
    quality: int = DEFAULT_QUALITY,
    credentials: Credentials | None = None,
    composite: bool = False,
) -> bytes:
    """A file of uint8 [h, w, C] as `write_image` writes it; suffix: png, jpg or webp."""
    image, encoded = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels), io.BytesIO()
    image.save(encoded, FORMATS[suffix], **writer_options(suffix, metadata, quality))
    return encoded.getvalue() if credentials is None else sign(encoded.getvalue(), credentials, suffix, composite)


def writer_options(suffix: str, metadata: dict[str, str], quality: int) -> dict[str, Any]:
    """Options of Pillow's writer: metadata as text chunks in PNG, as EXIF in JPEG and WebP."""
    if suffix == 'png':
        info = PngImagePlugin.PngInfo()
        for name, text in metadata.items():
            info.add_text(name, text)
        return {'pnginfo': info}
    options: dict[str, Any] = {'quality': quality}
    if suffix == 'jpg':
        options['subsampling'] = 0  # 4:4:4: colours at full resolution, as the generator makes them
    if metadata:
        exif = Image.Exif()
        exif[EXIF_SOFTWARE] = metadata['Software']
        exif[EXIF_DESCRIPTION] = one_line(metadata).encode('ascii', 'backslashreplace').decode()  # EXIF texts are ASCII
        options['exif'] = exif
    return options
