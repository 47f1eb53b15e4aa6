"""Cuts a face upright out of a photo, with the margin of training sets, and pastes a crop back with a soft border.

The margin is that of the selfie2anime training images, measured with this detector: the face's box takes BOX_SHARE of
the crop's side, and its centre lies BOX_CENTRE of the side below the crop's top. Coordinates count from the photo's top left
corner, so that pixel i reaches from i to i + 1.
"""

import math
from typing import NamedTuple

import numpy as np

from ugatit_jax.faces.detect import Face

BOX_SHARE = 0.656
BOX_CENTRE = 0.545
UPRIGHT_DEGREES = 5.0  # up to here a face counts as upright: cut as it is, it loses no sharpness
MASK_POWER = 4  # of the superellipse: between an ellipse, which cuts off hair and chin, and a square, whose corners show
SOFT_SHARE = 0.25  # of the way from the border of the mask to its centre: the face's box is whole inside
INTERPOLATION_PIXELS = 2  # that the bicubic filter reads around a point


class CropBox(NamedTuple):
    """A square in a photo: its centre, its side, and its angle in degrees, clockwise; whole pixels where that is 0."""

    x: float
    y: float
    side: int
    angle: float


def crop_box(face: Face) -> CropBox:
    """The square around a face, with the margin of training sets; upright where the face nearly is."""
    side = max(2, round(face.side / BOX_SHARE))
    angle = 0.0 if abs(face.angle) < UPRIGHT_DEGREES else face.angle
    above = (BOX_CENTRE - 0.5) * side  # from the face's centre to the crop's
    x = face.x + above * math.sin(math.radians(angle))
    y = face.y - above * math.cos(math.radians(angle))
    if angle == 0:
        x, y = round(x - side / 2) + side / 2, round(y - side / 2) + side / 2
    return CropBox(x, y, side, angle)


def share_outside(box: CropBox, height: int, width: int) -> float:
    """How far a crop reaches beyond the photo's edge, as a share of its side."""
    left, top, right, bottom = bounds(box)
    return max(0, -left, -top, right - width, bottom - height) / box.side


def cut(photo: np.ndarray, box: CropBox) -> np.ndarray:
    """The square of a photo [H, W, C], uint8, turned upright: uint8 [side, side, C]; reflected beyond the photo's edge."""
    if box.angle == 0:
        return window(photo, *bounds(box))
    left, top, right, bottom = bounds(box)
    margin = INTERPOLATION_PIXELS
    part = window(photo, left - margin, top - margin, right + margin, bottom + margin)
    cos, sin = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    half = box.side / 2
    x, y = box.x - left + margin, box.y - top + margin
    to_part = (cos, -sin, x - half * (cos - sin), sin, cos, y - half * (sin + cos))  # from the crop's coordinates
    return warp(part, to_part, box.side, box.side)


def paste(photo: np.ndarray, crop: np.ndarray, box: CropBox) -> None:
    """Puts a crop, uint8 [side, side, C], back to where it was cut, into the photo itself, which must be writable.

    Pixels outside of the mask stay as they are; the border between is soft.
    """
    height, width = photo.shape[:2]
    left, top, right, bottom = bounds(box)
    inside = max(0, left), max(0, top), min(width, right), min(height, bottom)
    x, y = np.meshgrid(np.arange(inside[0], inside[2]) + 0.5 - box.x, np.arange(inside[1], inside[3]) + 0.5 - box.y)
    cos, sin = math.cos(math.radians(box.angle)), math.sin(math.radians(box.angle))
    mask = soft_mask((cos * x + sin * y) * (2 / box.side), (cos * y - sin * x) * (2 / box.side))[..., None]
    if box.angle == 0:
        turned = crop[inside[1] - top : inside[3] - top, inside[0] - left : inside[2] - left]
    else:
        half = box.side / 2
        x0, y0 = inside[0] - box.x, inside[1] - box.y
        to_crop = (cos, sin, cos * x0 + sin * y0 + half, -sin, cos, cos * y0 - sin * x0 + half)
        turned = warp(crop, to_crop, inside[2] - inside[0], inside[3] - inside[1])
    part = photo[inside[1] : inside[3], inside[0] : inside[2]]
    part[:] = np.rint(part + mask * (turned.astype(np.float32) - part)).astype(np.uint8)


def soft_mask(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How much a pasted crop counts at (u, v), which are -1 to 1 from edge to edge: float32, 1 inside, 0 at the edges."""
    radius = (np.abs(u) ** MASK_POWER + np.abs(v) ** MASK_POWER) ** (1 / MASK_POWER)
    t = np.clip((1 - radius) / SOFT_SHARE, 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)  # smooth at both ends, so that neither is seen


def bounds(box: CropBox) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the upright rectangle of whole pixels around a square."""
    angle = math.radians(box.angle)
    half = box.side / 2 * (abs(math.cos(angle)) + abs(math.sin(angle)))
    return math.floor(box.x - half), math.floor(box.y - half), math.ceil(box.x + half), math.ceil(box.y + half)


def window(photo: np.ndarray, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """A rectangle that overlaps a photo [H, W, C]; beyond the photo's edges it is reflected. A copy."""
    height, width = photo.shape[:2]
    rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    above, below = rows.start - top, bottom - rows.stop
    before, after = columns.start - left, right - columns.stop
    # of a thin strip that is inside, NumPy reflects the reflection
    return np.pad(photo[rows, columns], ((above, below), (before, after), (0, 0)), 'reflect')


def warp(pixels: np.ndarray, matrix: tuple[float, ...], width: int, height: int) -> np.ndarray:
    """uint8 [height, width, C] whose point (x, y) is the one at (a x + b y + c, d x + e y + f) of `pixels`; bicubic."""
    import cv2  # here: what finds the faces has said where it is missing

    a, b, c, d, e, f = matrix
    of_pixels = np.array([[a, b, c + (a + b - 1) / 2], [d, e, f + (d + e - 1) / 2]])  # OpenCV counts from pixels' centres
    return cv2.warpAffine(
        pixels, of_pixels, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
