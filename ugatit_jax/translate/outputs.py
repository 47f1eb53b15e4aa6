"""Files that a translation leaves: their names, who may not be overwritten, and what is written into them."""

import collections
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

import ugatit_jax
from ugatit_jax.errors import UserError, printable
from ugatit_jax.files import atomic_file
from ugatit_jax.translate import video

FORMATS = {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}
NAMED_AT_MOST = 3  # files in one message
SOFTWARE, DESCRIPTION = 0x0131, 0x010E  # EXIF tags
PAGE = 'index.html'


class Job(NamedTuple):
    """One input and the files that it becomes."""

    source: str
    name: str  # of the input below what was given, for messages and for the page
    targets: dict[str, str]  # 'image' or 'video', and 'heatmap', 'strip' where wanted -> path


def plan(inputs: list[tuple[str, str]], output: str, suffix: str, extras: list[str], page: bool) -> list[Job]:
    """Jobs for inputs (path, name): names are kept under `output`, with other ends; raises UserError.

    Inputs that differ in their ends only (a.jpg, a.png) keep these too: a.jpg.png, a.png.png. No two files get one
    name, and none that of an input.
    """
    stems = [os.path.splitext(name)[0] for _, name in inputs]
    twins = {stem for stem, count in collections.Counter(stems).items() if count > 1}
    jobs, owners = [], {os.path.join(output, PAGE): 'the page'} if page else {}
    for (path, name), stem in zip(inputs, stems):
        stem = name if stem in twins else stem
        if video.is_video(path):
            ends = {'video': video.output_suffix(path)}
        else:
            ends = {'image': suffix} | {extra: f'.{extra}{suffix}' for extra in extras}
        targets = {kind: os.path.join(output, stem + end) for kind, end in ends.items()}
        for target in targets.values():
            if target in owners:
                raise UserError(
                    printable(f'{name} and {owners[target]} would both become {target}; translate them into two folders')
                )
            owners[target] = name
        jobs.append(Job(path, name, targets))
    sources = {os.path.realpath(path): path for path, _ in inputs}
    for target in owners:
        if source := sources.get(os.path.realpath(target)):
            raise UserError(printable(f'{target} is the input {source}, and no input is overwritten; take another --output'))
    return jobs


def validate_not_existing(jobs: list[Job], output: str, page: bool) -> None:
    """Raises UserError where a result would take the place of a file."""
    targets = [target for job in jobs for target in job.targets.values()] + [os.path.join(output, PAGE)] * page
    there = [target for target in targets if os.path.lexists(target)]
    if there:
        more = f' and {len(there) - NAMED_AT_MOST} more' if len(there) > NAMED_AT_MOST else ''
        raise UserError(
            printable(f'{", ".join(there[:NAMED_AT_MOST])}{more} exist; --overwrite replaces them, or name another --output')
        )


def provenance(model: str, direction: str) -> dict[str, str]:
    """What results say of themselves, so that a synthetic image can be told."""
    source, target = direction.upper().split('2')
    return {
        'Software': f'ugatit_jax {ugatit_jax.__version__}',
        'Description': f'synthetic image: translated from {source} to {target} by U-GAT-IT',
        'Model': model,
        'Direction': direction,
    }


def one_line(texts: dict[str, str]) -> str:
    """Provenance as one text, for formats that have room for one."""
    return '; '.join(f'{name}: {text}' for name, text in texts.items())


def write_image(path: str, pixels: np.ndarray, texts: dict[str, str], quality: int = 95) -> None:
    """Writes uint8 [h, w, C] in the format of the name's end, with `texts` in it; a file there is replaced as a whole.

    sRGB without a profile, no EXIF but the provenance. Raises OSError.
    """
    suffix = pathlib.Path(path).suffix[1:]
    with atomic_file(path) as partial, open(partial, 'wb') as file:
        if suffix == 'npy':
            np.save(file, pixels)
            return
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        image.save(file, FORMATS[suffix], **writer_options(suffix, texts, quality))


def writer_options(suffix: str, texts: dict[str, str], quality: int) -> dict[str, Any]:
    """What Pillow's writer is told: text chunks in PNG, EXIF in JPEG and WebP."""
    if suffix == 'png':
        info = PngImagePlugin.PngInfo()
        for name, text in texts.items():
            info.add_text(name, text)
        return {'pnginfo': info}
    options: dict[str, Any] = {'quality': quality}
    if suffix == 'jpg':
        options['subsampling'] = 0
    if texts:
        exif = Image.Exif()
        exif[SOFTWARE] = texts['Software']
        exif[DESCRIPTION] = one_line(texts).encode('ascii', 'backslashreplace').decode()  # EXIF knows ASCII only
        options['exif'] = exif
    return options
