"""The faces of a photo that are worth a crop, and what to say about the others."""

from typing import NamedTuple

import numpy as np

from ugatit_jax.common.errors import listed
from ugatit_jax.faces.crop import CropBox, crop_box, share_outside
from ugatit_jax.faces.detect import Face, find_faces

MIN_SIDE = 32  # pixels of a face's box: an eye has six, and a generator would enlarge the crop fivefold or more
CUT_OFF_SHARE = 0.05  # of a crop's side beyond the photo's edge: less is not seen
MAX_LISTED = 5  # sizes in one line


class FacesFound(NamedTuple):
    """What was found in a photo."""

    boxes: list[CropBox]  # from left to right
    cut_off: int  # of them, crops that reach beyond the photo's edge
    too_small: list[int]  # sides of faces that were left, in pixels

    def summary(self) -> str:
        """'2 faces; ...' in one line."""
        parts = [counted(len(self.boxes))]
        if self.cut_off:
            parts.append(f'{self.cut_off} cut off at the edge (the rest of the crop was filled by reflection)')
        if self.too_small:
            verb = 'is too small and was left' if len(self.too_small) == 1 else 'are too small and were left'
            parts.append(f'{len(self.too_small)} of {listed(list(map(str, self.too_small)), MAX_LISTED)} pixels {verb}')
        return '; '.join(parts)


def counted(number: int) -> str:
    """'no face', '1 face' or '2 faces'."""
    return {0: 'no face', 1: '1 face'}.get(number, f'{number} faces')


def faces_of(photo: np.ndarray) -> FacesFound:
    """The faces of a photo, uint8 [H, W, 3]; raises UserError where OpenCV is missing."""
    return sort_faces(find_faces(photo), *photo.shape[:2])


def sort_faces(faces: list[Face], height: int, width: int) -> FacesFound:
    """Crops for the faces that are large enough, of a photo of that size."""
    large = sorted((face for face in faces if face.side >= MIN_SIDE), key=lambda face: (face.x, face.y))
    boxes = [crop_box(face) for face in large]
    cut_off = sum(share_outside(box, height, width) > CUT_OFF_SHARE for box in boxes)
    return FacesFound(boxes, cut_off, sorted(round(face.side) for face in faces if face.side < MIN_SIDE))
