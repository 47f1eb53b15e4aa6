"""Finds the faces in a photo that look to the camera, with the Haar cascades that come with OpenCV.

The cascade of faces knows upright ones alone, so it looks at the photo turned by several angles. It also sees faces in
leaves and cloth, but seldom as often as in a face, at whose scales and turns it puts many boxes: these are counted as votes.
"""

import functools
import math
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ugatit_jax.common.errors import UserError

if TYPE_CHECKING:
    import cv2

DETECTOR = 'OpenCV: haarcascade_frontalface_alt2, angles by haarcascade_eye'
LONG_SIDE = 1024  # of the copy that is looked at: larger photos are reduced
MAX_ENLARGEMENT = 2  # of smaller photos: the cascade's window is 20 pixels
SMALLEST = 24  # pixels of a box in that copy
TURNS = (0, -25, 25, -50, 50)  # degrees: the cascade finds faces up to some 15 degrees from upright
SCALE_STEP, MIN_BOXES = 1.1, 2  # of the search: places with no more boxes than that are dropped
# votes that make a face, without and with both eyes found in it. In 48 scenes without people one place had that many,
# while most faces have 30 and more; small ones have fewer, as few scales of the search are left for them
VOTES, VOTES_WITH_EYES = 18, 15
SMALL, SMALL_VOTES, SMALL_VOTES_WITH_EYES = 40, 9, 6  # below that many pixels in the copy
NEAR = 0.5  # boxes with centres nearer than this share of the larger side are of one face
EYE_BOX = 160  # pixels that a box is scaled to before eyes are looked for
EYE_ROWS, EYE_WIDTH = (0.18, 0.6), 0.55  # where in a box: rows, and columns from the left and from the right
EYE_SCALE_STEP, EYE_MIN_BOXES, EYE_SIDES = 1.05, 3, (1 / 6, 1 / 2)  # an eye's box as a share of the face's
EYE_DISTANCES, MAX_EYE_RATIO, MAX_TILT = (0.25, 0.6), 1.67, 25  # of a pair that can be one: in boxes, and degrees


class Face(NamedTuple):
    """The box around eyes, nose and mouth: centre and side in pixels, and the face's angle in degrees, clockwise."""

    x: float
    y: float
    side: float
    angle: float


class Box(NamedTuple):
    """What the cascade found in the copy at one turn: boxes in one place, merged."""

    x: float  # the centre in the upright copy
    y: float
    side: int
    votes: int
    turn: int  # degrees, clockwise, that a face in it has
    corner: tuple[int, int]  # (left, top) in the turned copy


def require_opencv() -> None:
    """Raises UserError where OpenCV is missing, or is one without Haar cascades."""
    hint = "hint: pip install 'ugatit_jax[faces]'"
    try:
        import cv2
    except ImportError as error:
        raise UserError(f'--faces needs OpenCV; {hint}') from error
    if not hasattr(cv2, 'CascadeClassifier'):
        raise UserError(f'--faces needs OpenCV 4, which comes with face detectors; this is {cv2.__version__}; {hint}')


def find_faces(photo: np.ndarray) -> list[Face]:
    """The faces in a photo, uint8 [H, W, 3], in no order; raises UserError where OpenCV is missing."""
    require_opencv()
    import cv2

    height, width = photo.shape[:2]
    scale = min(MAX_ENLARGEMENT, LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    copies = {turn: turn_copy(cv2.equalizeHist(grey), turn) for turn in TURNS}
    boxes = [box for turn, (copy, matrix) in copies.items() for box in find_boxes(copy, matrix, turn)]
    faces = []
    for group in group_boxes(boxes):
        votes, best = sum(box.votes for box in group), group[0]
        enough, with_eyes = (SMALL_VOTES, SMALL_VOTES_WITH_EYES) if best.side < SMALL else (VOTES, VOTES_WITH_EYES)
        if votes < with_eyes:
            continue
        angle = next((angle for box in group if (angle := eye_angle(copies[box.turn][0], box)) is not None), None)
        if angle is None and votes < enough:
            continue
        if angle is None:
            angle = sum(box.votes * box.turn for box in group) / votes
        faces.append(Face(best.x / scale, best.y / scale, best.side / scale, angle))
    return faces


def turn_copy(grey: np.ndarray, turn: int) -> tuple[np.ndarray, np.ndarray]:
    """An image uint8 [h, w] turned so that faces at `turn` are upright, all of it, and the matrix [2, 3] back."""
    import cv2

    if turn == 0:
        return grey, np.eye(2, 3)
    height, width = grey.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1)  # counterclockwise
    cos, sin = abs(matrix[0, :2])
    new_width, new_height = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    matrix[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    turned = cv2.warpAffine(grey, matrix, (new_width, new_height), borderValue=128)
    return turned, cv2.invertAffineTransform(matrix)


def find_boxes(copy: np.ndarray, back: np.ndarray, turn: int) -> list[Box]:
    """The boxes of the cascade in a turned copy; back: the matrix to the upright one."""
    squares, votes = classifiers.face.detectMultiScale2(copy, SCALE_STEP, MIN_BOXES, minSize=(SMALLEST, SMALLEST))
    found = []
    for (left, top, side, _), count in zip(squares, votes):
        x, y = back @ (left + side / 2, top + side / 2, 1)
        found.append(Box(float(x), float(y), int(side), int(count), turn, (int(left), int(top))))
    return found


def group_boxes(boxes: list[Box]) -> list[list[Box]]:
    """Boxes of one face each, those with the most votes first."""
    groups: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: -box.votes):
        for group in groups:
            if math.hypot(box.x - group[0].x, box.y - group[0].y) < NEAR * max(box.side, group[0].side):
                group.append(box)
                break
        else:
            groups.append([box])
    return groups


def eye_angle(copy: np.ndarray, box: Box) -> float | None:
    """The angle of a face, in degrees, by the line through its eyes; None where no pair is found that can be one."""
    import cv2

    scale, (left, top) = EYE_BOX / box.side, box.corner
    square = copy[top : top + box.side, left : left + box.side]
    square = cv2.resize(square, (EYE_BOX, EYE_BOX), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    rows = [round(share * EYE_BOX) for share in EYE_ROWS]
    width, sides = round(EYE_WIDTH * EYE_BOX), [round(share * EYE_BOX) for share in EYE_SIDES]
    eyes = []
    for start in (0, EYE_BOX - width):
        part = np.ascontiguousarray(square[rows[0] : rows[1], start : start + width])
        squares, votes = classifiers.eye.detectMultiScale2(
            part, EYE_SCALE_STEP, EYE_MIN_BOXES, minSize=(sides[0],) * 2, maxSize=(sides[1],) * 2
        )
        if len(squares) == 0:
            return None
        x, y, side, _ = squares[int(np.argmax(votes))]
        eyes.append((start + x + side / 2, y + side / 2, side))
    (x0, y0, side0), (x1, y1, side1) = eyes
    distance, tilt = math.hypot(x1 - x0, y1 - y0) / EYE_BOX, math.degrees(math.atan2(y1 - y0, x1 - x0))
    if not EYE_DISTANCES[0] < distance < EYE_DISTANCES[1] or max(side0, side1) > MAX_EYE_RATIO * min(side0, side1):
        return None
    return box.turn + tilt if abs(tilt) < MAX_TILT else None


class Classifiers(threading.local):
    """The cascades of a thread, read when it first uses them: they cannot be shared while they search."""

    @functools.cached_property
    def face(self) -> 'cv2.CascadeClassifier':
        """Of faces that look to the camera."""
        return read_cascade('haarcascade_frontalface_alt2')

    @functools.cached_property
    def eye(self) -> 'cv2.CascadeClassifier':
        """Of eyes."""
        return read_cascade('haarcascade_eye')


def read_cascade(name: str) -> 'cv2.CascadeClassifier':
    """A cascade that comes with OpenCV."""
    import cv2

    return cv2.CascadeClassifier(f'{cv2.data.haarcascades}{name}.xml')


classifiers = Classifiers()
