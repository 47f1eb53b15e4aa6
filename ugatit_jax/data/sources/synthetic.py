"""A data set without files: round, striped, pointed-eared faces (A) and long, spotted, hanging-eared ones (B).

Drawn so that a translation has to change shape, texture and colour of the head and ears, and nothing else: the
background, the eyes' colour and the place and size of the face come from the same distributions in both domains. `mask`
says where an image would have to change, which real unpaired sets never tell: heatmaps and edits can be measured
against it.
"""

import dataclasses

import numpy as np
from PIL import Image, ImageDraw

from ugatit_jax.errors import UserError

NAMES = ('faces',)
COUNTS = {'train': 200, 'test': 20}  # per domain; a few hundred are enough to learn it and quick to draw
_SUPERSAMPLING = 3  # drawn this much larger without antialiasing, then reduced


@dataclasses.dataclass(frozen=True)
class _Face:
    """One face in units of the image's side; colours are RGB."""

    x: float
    y: float
    radius: float
    background: tuple
    shade: tuple
    fur: tuple
    marks: tuple
    eyes: tuple
    gaze: float
    spots: tuple  # (x, y, radius) in units of the head; B only
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
        image = self._draw(self._face(i))
        if self._channels != 3:
            image = image.convert('L' if self._channels == 1 else 'RGBA')
        return np.array(image).reshape(self._size, self._size, self._channels)

    def mask(self, i: int) -> np.ndarray:
        """Where image i shows its domain's head and ears, or the other domain would, edges too: bool [size, size]."""
        face = self._face(i)
        side = self._size * _SUPERSAMPLING
        canvas = Image.new('L', (side, side))
        draw = ImageDraw.Draw(canvas)
        for domain in 'AB':
            for outline in (_ears(face, domain), _head(face, domain)):
                for shape, points in outline:
                    _fill(draw, shape, points, side, 255)
        return np.array(canvas.resize((self._size, self._size), Image.Resampling.BOX)) > 0

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        return f'{self.name} {self._size} {self._channels} v1'

    def _face(self, i: int) -> _Face:
        split = sorted(COUNTS).index(self._split)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([20190725, 'AB'.index(self._domain), split, i])))
        radius = rng.uniform(0.21, 0.26)
        background = _hsv(rng.uniform(), rng.uniform(0.25, 0.6), rng.uniform(0.45, 0.9))
        if self._domain == 'A':  # ginger
            fur, marks = _hsv(rng.uniform(0.06, 0.11), rng.uniform(0.7, 0.9), rng.uniform(0.85, 1.0)), (95, 45, 10)
        else:  # grey-blue and white
            fur, marks = _hsv(rng.uniform(0.56, 0.64), rng.uniform(0.05, 0.15), rng.uniform(0.85, 1.0)), (50, 60, 95)
        angles = np.linspace(0.0, 2.0 * np.pi, 7)[:6] + rng.uniform(0.0, 1.0)
        spots = tuple(
            (0.62 * np.cos(a) * rng.uniform(0.6, 1.1), 0.95 * np.sin(a) * rng.uniform(0.7, 1.1), rng.uniform(0.12, 0.2))
            for a in angles
        )
        return _Face(
            x=0.5 + rng.uniform(-0.09, 0.09),
            y=0.54 + rng.uniform(-0.07, 0.07),
            radius=radius,
            background=background,
            shade=tuple(int(0.8 * c) for c in background),
            fur=fur,
            marks=marks,
            eyes=_hsv(rng.uniform(0.25, 0.6), 0.6, 0.8),
            gaze=rng.uniform(-0.3, 0.3),
            spots=spots,
            stripes=int(rng.integers(3, 5)),
        )

    def _draw(self, face: _Face) -> Image.Image:
        side = self._size * _SUPERSAMPLING
        image = Image.new('RGB', (side, side), face.background)
        draw = ImageDraw.Draw(image)
        draw.rectangle([0, int(0.8 * side), side, side], fill=face.shade)  # the ground
        for shape, points in _ears(face, self._domain):
            _fill(draw, shape, points, side, face.marks if self._domain == 'B' else face.fur)
        head = Image.new('L', (side, side))
        for shape, points in _head(face, self._domain):
            _fill(ImageDraw.Draw(head), shape, points, side, 255)
        coat = Image.new('RGB', (side, side), face.fur)
        for shape, points in _marks(face, self._domain):
            _fill(ImageDraw.Draw(coat), shape, points, side, face.marks)
        image.paste(coat, mask=head)  # marks end at the head's edge
        _draw_features(draw, face, self._domain, side)
        return image.resize((self._size, self._size), Image.Resampling.BOX)


def _place(face: _Face, points) -> list[tuple[float, float]]:
    return [(face.x + face.radius * x, face.y + face.radius * y) for x, y in points]


def _ellipse(face: _Face, x: float, y: float, rx: float, ry: float):
    return 'ellipse', _place(face, [(x - rx, y - ry), (x + rx, y + ry)])


def _head(face: _Face, domain: str):
    if domain == 'A':
        return [_ellipse(face, 0.0, 0.0, 1.12, 1.0)]
    return [_ellipse(face, 0.0, -0.15, 0.82, 1.15), _ellipse(face, 0.0, 0.75, 0.6, 0.65)]  # skull and long muzzle


def _ears(face: _Face, domain: str):
    sides = (-1.0, 1.0)
    if domain == 'A':
        return [('polygon', _place(face, [(s * 1.05, -0.2), (s * 0.95, -1.65), (s * 0.15, -0.8)])) for s in sides]
    return [
        (
            'polygon',
            _place(
                face,
                [
                    (s * 0.45, -1.1),
                    (s * 1.05, -0.95),
                    (s * 1.45, 0.3),
                    (s * 1.35, 0.8),
                    (s * 1.05, 0.85),
                    (s * 0.8, 0.3),
                ],
            ),
        )
        for s in sides
    ]


def _marks(face: _Face, domain: str):
    if domain == 'B':
        return [_ellipse(face, x, y, r, r) for x, y, r in face.spots]
    marks = []
    for k in range(face.stripes):  # on the forehead, and as many wedges in each cheek
        x = (k - (face.stripes - 1) / 2) * 0.34
        marks.append(('polygon', _place(face, [(x - 0.09, -1.1), (x + 0.09, -1.1), (0.7 * x, -0.42)])))
    for s in (-1.0, 1.0):
        for y in (0.05, 0.35, 0.65):
            marks.append(('polygon', _place(face, [(s * 1.2, y - 0.09), (s * 1.2, y + 0.09), (s * 0.62, y)])))
    return marks


def _draw_features(draw: ImageDraw.ImageDraw, face: _Face, domain: str, side: int) -> None:
    eye_y, nose_y, nose = (-0.12, 0.35, 0.13) if domain == 'A' else (-0.25, 0.85, 0.24)
    for s in (-1.0, 1.0):
        x = s * 0.42
        if domain == 'A':
            inner = [(s * 0.9, -0.55), (s * 0.87, -1.3), (s * 0.42, -0.82)]
            _fill(draw, 'polygon', _place(face, inner), side, (240, 160, 150))
        _fill(draw, *_ellipse(face, x, eye_y, 0.2, 0.2), side, (250, 250, 250))
        _fill(draw, *_ellipse(face, x + 0.15 * face.gaze, eye_y, 0.14, 0.15), side, face.eyes)
        _fill(draw, *_ellipse(face, x + 0.15 * face.gaze, eye_y, 0.06, 0.1), side, (15, 15, 20))
    _fill(draw, *_ellipse(face, 0.0, nose_y, nose, 0.75 * nose), side, (40, 25, 30))


def _fill(draw: ImageDraw.ImageDraw, shape: str, points, side: int, colour) -> None:
    pixels = [(round(x * side), round(y * side)) for x, y in points]
    getattr(draw, shape)(pixels, fill=colour)


def _hsv(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    """HSV in [0, 1] to RGB in 0..255."""
    shift = (np.array([5.0, 3.0, 1.0]) + hue * 6.0) % 6.0
    rgb = value - value * saturation * np.clip(np.minimum(shift, 4.0 - shift), 0.0, 1.0)
    return tuple(round(255 * float(c)) for c in rgb)
