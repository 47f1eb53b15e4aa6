"""Photos with faces that no person has: drawn with soft shading, which the cascades of OpenCV take for faces."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

HAIR, SKIN, SHADE, LIP, WHITE, PUPIL = (
    (50, 35, 28),
    (222, 184, 158),
    (150, 108, 90),
    (160, 72, 70),
    (236, 232, 228),
    (28, 22, 20),
)


def drawn_face(side: int = 256) -> Image.Image:
    """A face that looks to the camera, RGBA, transparent around the head."""
    image = Image.new('RGBA', (256, 256), (*HAIR, 0))
    draw = ImageDraw.Draw(image)

    def ellipse(x, y, width, height, colour):
        draw.ellipse((x - width, y - height, x + width, y + height), fill=(*colour, 255))

    ellipse(128, 122, 96, 116, HAIR)
    ellipse(128, 140, 78, 100, SKIN)
    for x in (94, 162):
        ellipse(x, 122, 26, 17, SHADE)  # the socket
        draw.line((x - 22, 103, x + 22, 103), fill=(*HAIR, 255), width=7)
    ellipse(128, 178, 18, 7, SHADE)  # below the nose
    draw.line((116, 128, 114, 172), fill=(*SHADE, 255), width=4)
    draw.line((140, 128, 142, 172), fill=(*SHADE, 255), width=4)
    ellipse(128, 206, 32, 9, LIP)
    image = image.filter(ImageFilter.GaussianBlur(4))
    draw = ImageDraw.Draw(image)
    for x in (94, 162):
        ellipse(x, 122, 17, 8, WHITE)
        ellipse(x, 122, 9, 9, PUPIL)
    draw.line((100, 206, 156, 206), fill=(*PUPIL, 255), width=3)
    image = image.filter(ImageFilter.GaussianBlur(1.2))
    return image.resize((side, side), Image.Resampling.LANCZOS)


def photo(width: int, height: int, *faces: tuple[float, float, int, float]) -> np.ndarray:
    """A grey wall, uint8 [height, width, 3], with faces (x, y, side of the drawing, degrees clockwise) by their centres."""
    y, x = np.mgrid[:height, :width]
    wall = 120 + 40 * np.sin(x / 61) + 30 * np.cos(y / 47)
    image = Image.fromarray(np.stack([wall, wall + 8, wall - 10], axis=-1).clip(0, 255).astype(np.uint8))
    for centre_x, centre_y, side, angle in faces:
        face = drawn_face(side).rotate(-angle, Image.Resampling.BICUBIC, expand=True)
        image.paste(face, (round(centre_x - face.width / 2), round(centre_y - face.height / 2)), face)
    return np.array(image)
