"""The previews on the page of a run: some of previews/, reduced and embedded."""

import functools
from typing import TypeVar

from etils import epath
from PIL import Image

from ugatit_jax.data.decode import open_image
from ugatit_jax.report.html import data_uri

MAX_PREVIEWS = 40  # embedded at most: at the size below, a page has about 8 MB
MAX_SIDE, JPEG_QUALITY = 1280, 80  # about 150 KB for a sheet of images of 256 pixels

Item = TypeVar('Item')


def preview_files(folder: epath.Path) -> list[tuple[int, epath.Path]]:
    """(step, file) of all of FOLDER/previews, by step."""
    if not (folder / 'previews').exists():
        return []
    return sorted(
        (int(path.stem), path) for path in (folder / 'previews').iterdir() if path.suffix == '.png' and path.stem.isdecimal()
    )


def select_evenly(items: list[Item], most: int = MAX_PREVIEWS) -> list[Item]:
    """Every k-th item and the last, at most `most`; k is a power of two, so that the choice is stable as a run grows."""
    stride = 1
    while -(-len(items) // stride) > most - 1:
        stride *= 2
    return items if len(items) <= most else items[::stride] + ([items[-1]] if (len(items) - 1) % stride else [])


def embed_previews(files: list[tuple[int, epath.Path]]) -> tuple[list[dict[str, object]], int]:
    """[{'step', 'uri', 'width'}] of the previews that can be read, and the number of those that cannot."""
    embedded = []
    for step, path in files:
        try:
            uri, width = as_jpeg(str(path), path.stat().length)
            embedded.append({'step': step, 'uri': uri, 'width': width})
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow raises for damaged files
            continue
    return embedded, len(files) - len(embedded)


@functools.lru_cache(maxsize=2 * MAX_PREVIEWS)  # previews stay the same from one page of a run to the next
def as_jpeg(path: str, length: int) -> tuple[str, int]:
    """A preview reduced to MAX_SIDE as a data URI, and its width; `length`, of the file, is there for the cache's key."""
    with open_image(epath.Path(path).read_bytes()) as image:
        image.load()
        image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        return data_uri(image, JPEG_QUALITY), image.width
