"""prepare --faces: a folder of images with the faces of photos in place of the photos, cut out as translation cuts them."""

import collections
import concurrent.futures
import contextlib
import importlib.metadata
import json
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from etils import epath
from PIL import Image

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import (
    folder_for_bucket,
    is_remote,
    partial_folder,
    prepare_bucket,
    read_bytes,
    remove_abandoned,
)
from ugatit_jax.common.progress import track
from ugatit_jax.data import scan
from ugatit_jax.data.decode import DecodeError
from ugatit_jax.data.preprocess import resize
from ugatit_jax.data.scan_folder import scan_splits, validate_output
from ugatit_jax.data.sources.folder import FolderSource
from ugatit_jax.faces.crop import BOX_CENTRE, BOX_SHARE, UPRIGHT_DEGREES, cut
from ugatit_jax.faces.detect import DETECTOR, require_opencv
from ugatit_jax.faces.found import MIN_SIDE, FacesFound, faces_of

logger = logging.getLogger(__name__)

DOMAINS = ('A', 'B', 'AB')
MAX_CROP_SIDE = 512  # pixels: larger crops are reduced to it, which is twice the size of training of the paper
NOTE = 'faces.json'


class FaceCounts(NamedTuple):
    """What became of the images of a split; of a domain without faces `images` alone counts."""

    images: int  # that were written
    photos: int = 0
    without_face: int = 0  # photos with no face that is large enough
    too_small: int = 0  # faces
    cut_off: int = 0  # faces
    left_out: int = 0  # files that cannot be read

    def summary(self) -> str:
        """The counts in words."""
        if not self.photos:
            return f'{self.images} images as they are, {self.left_out} files left out'
        return (
            f'{self.images} faces of {self.photos} images; images without a face: {self.without_face}; faces cut off at the '
            f'edge: {self.cut_off}, too small and left out: {self.too_small}; files left out: {self.left_out}'
        )


def prepare_faces(
    source: str, output: str, domains: str, max_bad_fraction: float = scan.MAX_BAD_FRACTION
) -> dict[str, FaceCounts]:
    """Writes the faces of the `domains`, 'A', 'B' or 'AB', as PNG and the other domain's files as they are; returns counts.

    The folder `output` appears when it is complete. Raises UserError where something is there already, where a split has too
    many unreadable files, and where a training split has no face.
    """
    require_opencv()
    root = source.removeprefix('folder:')
    if root == source or not root:
        raise UserError(f'--source={source}: expected folder:PATH')
    validate_output(root, output)
    prepare_bucket(output)
    if epath.Path(output).exists() and (not epath.Path(output).is_dir() or any(epath.Path(output).iterdir())):
        raise UserError(f'--output={output}: there is something already; choose another folder, or remove that one first')
    counts = {}
    try:
        with folder_place(output) as place:
            for split, images, report in scan_splits(root, 3, max_bad_fraction):
                if split[-1] in domains:
                    made = write_faces(images, report, place / split)
                    if not made.images and split.startswith('train'):
                        raise UserError(f'no face was found in the {made.photos} images of {images.root} (docs/faces.md)')
                    counts[split] = made
                else:
                    copy_files(images.root, report.keys, place / split)
                    counts[split] = FaceCounts(len(report.keys), left_out=len(report.bad))
            (place / NOTE).write_text(json.dumps(note(domains, counts), indent=2) + '\n')
    except OSError as error:
        raise UserError(
            f'--output={output} cannot be written: {first_line(error)}; name another folder, or free some space'
        ) from error
    return counts


def write_faces(images: FolderSource, report: scan.Report, folder: pathlib.Path) -> FaceCounts:
    """Writes NAME.face1.png, NAME.face2.png ... of every readable image below a folder."""
    stems = collections.Counter(os.path.splitext(key)[0] for key in report.keys)

    def write(i: int) -> FacesFound | None:
        try:
            photo = images.read(i)
        except DecodeError as error:  # the file changed since the scan
            logger.warning('%s: %s', images.keys[i], error)
            return None
        found, (stem, suffix) = faces_of(photo), os.path.splitext(images.keys[i])
        name = stem if stems[stem] == 1 else stem + suffix
        for number, box in enumerate(found.boxes, 1):
            path = folder / f'{name}.face{number}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(reduced(cut(photo, box))).save(path)
        return found

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(track(pool.map(write, report.good), f'finding faces in {images.root}', len(report.good)))
    found = [result for result in results if result is not None]
    return FaceCounts(
        images=sum(len(one.boxes) for one in found),
        photos=len(found),
        without_face=sum(not one.boxes for one in found),
        too_small=sum(len(one.too_small) for one in found),
        cut_off=sum(one.cut_off for one in found),
        left_out=len(report.bad) + len(results) - len(found),
    )


def reduced(crop: np.ndarray) -> np.ndarray:
    """A square uint8 [side, side, 3], reduced to MAX_CROP_SIDE where it is larger."""
    side = min(MAX_CROP_SIDE, crop.shape[0])
    return resize(crop, side, side)


def copy_files(root: str, keys: list[str], folder: pathlib.Path) -> None:
    """Copies files as they are."""
    for key in track(keys, f'copying {root}', len(keys)):
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(read_bytes(epath.Path(root) / key))


def note(domains: str, counts: dict[str, FaceCounts]) -> dict:
    """What faces.json holds: how faces were found and cut out, and how many."""
    return {
        'domains': domains,
        'detector': DETECTOR,
        'opencv': importlib.metadata.version('opencv-python-headless'),
        'box_share_of_side': BOX_SHARE,
        'box_centre_below_top': BOX_CENTRE,
        'turned_from_degrees': UPRIGHT_DEGREES,
        'smallest_face_pixels': MIN_SIDE,
        'largest_crop_pixels': MAX_CROP_SIDE,
        'splits': {split: made._asdict() for split, made in counts.items()},
    }


@contextlib.contextmanager
def folder_place(output: str) -> Iterator[pathlib.Path]:
    """A folder to build in that becomes `output` when it is complete; its files are copied to a bucket. Raises OSError."""
    if is_remote(output):
        with folder_for_bucket(output, NOTE) as place:
            yield place
        return
    parent = os.path.dirname(os.path.abspath(output))
    os.makedirs(parent, exist_ok=True)
    remove_abandoned(parent)
    with partial_folder(parent) as place:
        yield place
        os.rename(place, output)  # of an empty folder, too
