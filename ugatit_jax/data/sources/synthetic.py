"""A data set without files: round, striped, pointed-eared faces (A) and long, spotted, hanging-eared ones (B).

Drawn so that a translation has to change shape, texture and colour of the head and ears, and nothing else: the
background, the eyes' colour and the place and size of the face come from the same distributions in both domains. `mask`
says where an image would have to change, which real unpaired sets never tell: heatmaps and edits can be measured
against it.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ugatit_jax.common.errors import UserError

NAMES = ('faces',)
COUNTS = {'train': 200, 'test': 20}  # per domain: enough to learn from, and quick to draw
SUPERSAMPLING = 3  # drawn this much larger without antialiasing, then reduced: smooth edges
SEED = 20190725  # any number: it keeps these faces apart from other uses of a random generator

Shape = tuple[str, list[tuple[float, float]]]  # a method of ImageDraw and its points, in units of the image's side
Colour = tuple[int, int, int]  # RGB, 0 to 255


@dataclasses.dataclass(frozen=True)
class Face:
    """One face, in units of the image's side."""

    x: float
    y: float
    radius: float
    background: Colour
    shade: Colour  # of the ground
    fur: Colour
    marks: Colour
    eyes: Colour
    gaze: float  # -1 to the left, 1 to the right
    spots: tuple[tuple[float, float, float], ...]  # (x, y, radius) in units of the head; B only
    stripes: int  # A only


class Synthetic:
    """`synthetic:faces`: image i depends on (domain, split, i) alone, at any size."""

    def __init__(self, domain: str, split: str, size: int, channels: int = 3, name: str = 'faces'):
        if name not in NAMES:
            raise UserError(f'data.source=synthetic:{name}: the embedded sets are {", ".join(NAMES)}')
        if channels not in (1, 3, 4):
            raise UserError(
                f'data.source=synthetic:{name} has images of 1, 3 or 4 channels, not {channels}: use a folder of .npy arrays'
            )
        self.name = f'synthetic:{name}/{split}{domain}'
        self.keys = [f'{split}{domain}/{i:04d}' for i in range(COUNTS[split])]
        self._domain, self._split, self._size, self._channels = domain, split, size, channels

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [size, size, channels]."""
        image = draw_face(random_face(self._domain, self._split, i), self._domain, self._size)
        if self._channels != 3:
            image = image.convert('L' if self._channels == 1 else 'RGBA')
        return np.array(image).reshape(self._size, self._size, self._channels)

    def mask(self, i: int) -> np.ndarray:
        """Where image i shows its domain's head and ears, or the other domain would, edges too: bool [size, size]."""
        face = random_face(self._domain, self._split, i)
        side = self._size * SUPERSAMPLING
        canvas = Image.new('L', (side, side))
        for domain in 'AB':
            for shape in ears(face, domain) + head(face, domain):
                fill(canvas, shape, 255)
        return np.array(canvas.resize((self._size, self._size), Image.Resampling.BOX)) > 0

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        return f'{self.name} {self._size} {self._channels} v1'


def random_face(domain: str, split: str, i: int) -> Face:
    """Face i of a domain and split."""
    key = [SEED, 'AB'.index(domain), sorted(COUNTS).index(split), i]
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
    radius = rng.uniform(0.21, 0.26)
    background = hsv(rng.uniform(), rng.uniform(0.25, 0.6), rng.uniform(0.45, 0.9))
    if domain == 'A':  # ginger
        fur, stains = hsv(rng.uniform(0.06, 0.11), rng.uniform(0.7, 0.9), rng.uniform(0.85, 1.0)), (95, 45, 10)
    else:  # grey-blue and white
        fur, stains = hsv(rng.uniform(0.56, 0.64), rng.uniform(0.05, 0.15), rng.uniform(0.85, 1.0)), (50, 60, 95)
    angles = np.linspace(0.0, 2.0 * np.pi, 7)[:6] + rng.uniform(0.0, 1.0)
    spots = tuple(
        (0.62 * np.cos(a) * rng.uniform(0.6, 1.1), 0.95 * np.sin(a) * rng.uniform(0.7, 1.1), rng.uniform(0.12, 0.2))
        for a in angles
    )
    return Face(
        x=0.5 + rng.uniform(-0.09, 0.09),
        y=0.54 + rng.uniform(-0.07, 0.07),
        radius=radius,
        background=background,
        shade=tuple(int(0.8 * c) for c in background),
        fur=fur,
        marks=stains,
        eyes=hsv(rng.uniform(0.25, 0.6), 0.6, 0.8),
        gaze=rng.uniform(-0.3, 0.3),
        spots=spots,
        stripes=int(rng.integers(3, 5)),
    )


def draw_face(face: Face, domain: str, size: int) -> Image.Image:
    """Draws a face with the shapes of `domain`, in its own colours: RGB, size x size."""
    side = size * SUPERSAMPLING
    image = Image.new('RGB', (side, side), face.background)
    ImageDraw.Draw(image).rectangle([0, int(0.8 * side), side, side], fill=face.shade)  # the ground
    for shape in ears(face, domain):
        fill(image, shape, face.marks if domain == 'B' else face.fur)
    outline = Image.new('L', (side, side))
    for shape in head(face, domain):
        fill(outline, shape, 255)
    coat = Image.new('RGB', (side, side), face.fur)
    for shape in marks(face, domain):
        fill(coat, shape, face.marks)
    image.paste(coat, mask=outline)  # marks end at the head's edge
    for shape, colour in features(face, domain):
        fill(image, shape, colour)
    return image.resize((size, size), Image.Resampling.BOX)


def head(face: Face, domain: str) -> list[Shape]:
    """The outline of the head: round, or a skull and a long muzzle."""
    if domain == 'A':
        return [ellipse(face, 0.0, 0.0, 1.12, 1.0)]
    return [ellipse(face, 0.0, -0.15, 0.82, 1.15), ellipse(face, 0.0, 0.75, 0.6, 0.65)]


def ears(face: Face, domain: str) -> list[Shape]:
    """Both ears: pointed, or hanging."""
    if domain == 'A':
        corners = [(1.05, -0.2), (0.95, -1.65), (0.15, -0.8)]
    else:
        corners = [(0.45, -1.1), (1.05, -0.95), (1.45, 0.3), (1.35, 0.8), (1.05, 0.85), (0.8, 0.3)]
    return [polygon(face, [(s * x, y) for x, y in corners]) for s in (-1.0, 1.0)]


def marks(face: Face, domain: str) -> list[Shape]:
    """Stripes on the forehead and three wedges in each cheek, or spots."""
    if domain == 'B':
        return [ellipse(face, x, y, r, r) for x, y, r in face.spots]
    centres = [(k - (face.stripes - 1) / 2) * 0.34 for k in range(face.stripes)]
    stripes = [polygon(face, [(x - 0.09, -1.1), (x + 0.09, -1.1), (0.7 * x, -0.42)]) for x in centres]
    return stripes + [
        polygon(face, [(s * 1.2, y - 0.09), (s * 1.2, y + 0.09), (s * 0.62, y)])
        for s in (-1.0, 1.0)
        for y in (0.05, 0.35, 0.65)
    ]


def features(face: Face, domain: str) -> Iterator[tuple[Shape, Colour]]:
    """Inner ears (A), eyes and nose with their colours, in the order of drawing."""
    eye_y, nose_y, nose = (-0.12, 0.35, 0.13) if domain == 'A' else (-0.25, 0.85, 0.24)
    for s in (-1.0, 1.0):
        x = s * 0.42
        if domain == 'A':
            yield polygon(face, [(s * 0.9, -0.55), (s * 0.87, -1.3), (s * 0.42, -0.82)]), (240, 160, 150)
        yield ellipse(face, x, eye_y, 0.2, 0.2), (250, 250, 250)
        yield ellipse(face, x + 0.15 * face.gaze, eye_y, 0.14, 0.15), face.eyes
        yield ellipse(face, x + 0.15 * face.gaze, eye_y, 0.06, 0.1), (15, 15, 20)
    yield ellipse(face, 0.0, nose_y, nose, 0.75 * nose), (40, 25, 30)


def polygon(face: Face, corners: Sequence[tuple[float, float]]) -> Shape:
    """A polygon given in units of the head, around its centre."""
    return 'polygon', [(face.x + face.radius * x, face.y + face.radius * y) for x, y in corners]


def ellipse(face: Face, x: float, y: float, rx: float, ry: float) -> Shape:
    """An ellipse with centre (x, y) and half axes (rx, ry) in units of the head."""
    return 'ellipse', polygon(face, [(x - rx, y - ry), (x + rx, y + ry)])[1]


def fill(image: Image.Image, shape: Shape, colour: Colour | int) -> None:
    """Draws a shape into a square image, in place."""
    method, points = shape
    getattr(ImageDraw.Draw(image), method)(
        [(round(x * image.width), round(y * image.width)) for x, y in points], fill=colour
    )


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """HSV in [0, 1] to RGB in 0..255."""
    shift = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    rgb = value - value * saturation * np.clip(np.minimum(shift, 4.0 - shift), 0.0, 1.0)
    return tuple(round(255 * float(c)) for c in rgb)
