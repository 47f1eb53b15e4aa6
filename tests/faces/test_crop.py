"""Crops: where they lie, and that cutting and pasting are inverse to each other."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.translation import noise_image
from ugatit_jax.faces.crop import CropBox, bounds, crop_box, cut, paste, share_outside, soft_mask
from ugatit_jax.faces.detect import Face

HEIGHT, WIDTH = 60, 80


def square(side: int, left: int, top: int) -> CropBox:
    """An upright crop by its corner."""
    return CropBox(left + side / 2, top + side / 2, side, 0.0)


def place_in_crop(box: CropBox, x: np.ndarray | float, y: np.ndarray | float) -> tuple:
    """Points of the photo as shares of the crop's side from its left and top: turned back about the crop's centre."""
    turned = (x + 1j * y - complex(box.x, box.y)) * np.exp(-1j * math.radians(box.angle))
    return turned.real / box.side + 0.5, turned.imag / box.side + 0.5


def ramp() -> np.ndarray:
    """A photo whose colours are the coordinates, which interpolation keeps: 2 x, 4 y of the pixels' centres, not rounded."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.stack([2 * x, 4 * y, 0 * x], axis=-1).astype(np.uint8)


@given(st.floats(-60, 60), st.floats(20, 400))
def test_the_face_has_the_place_in_the_crop_that_it_has_in_training_images(angle, side):
    box = crop_box(Face(500.3, 400.7, side, angle))
    u, v = place_in_crop(box, 500.3, 400.7)
    pixel = 1 / box.side  # upright crops begin at whole pixels
    assert abs(u - 0.5) <= pixel and abs(v - 0.545) <= pixel and abs(side / box.side - 0.656) <= pixel
    assert box.angle == (angle if abs(angle) >= 5 else 0)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 90), st.integers(-89, WIDTH - 1), st.integers(-89, HEIGHT - 1))
def test_an_upright_crop_pasted_unchanged_changes_nothing(side, left, top):
    photo, left, top = noise_image(HEIGHT, WIDTH), max(left, 1 - side), max(top, 1 - side)  # they overlap
    crop = cut(photo, square(side, left, top))
    assert crop.shape == (side, side, 3)
    pasted = photo.copy()
    paste(pasted, crop, square(side, left, top))
    np.testing.assert_array_equal(pasted, photo)


@pytest.mark.parametrize('angle', [-50, -12, 7, 33, 120])
def test_a_turned_crop_shows_what_the_photo_has_there_and_goes_back_there(angle):
    box = CropBox(41.3, 29.8, 30, angle)
    crop = cut(ramp(), box)
    v, u = np.mgrid[:30, :30] + 0.5 - 15
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = 41.3 + cos * u - sin * v, 29.8 + sin * u + cos * v  # clockwise, as y goes down
    np.testing.assert_allclose(crop[..., 0], 2 * x, atol=0.8)  # rounded, and bicubic: a twelfth of a pixel
    np.testing.assert_allclose(crop[..., 1], 4 * y, atol=0.8)
    pasted = ramp()
    paste(pasted, crop, box)
    np.testing.assert_allclose(pasted.astype(int), ramp().astype(int), atol=1)  # twice that, rounded


@pytest.mark.parametrize('box', [square(24, 10, 8), square(30, -9, 40), CropBox(40, 30, 30, 25), CropBox(4, 55, 40, -40)])
def test_a_paste_is_whole_in_the_middle_and_changes_nothing_outside(box):
    photo = noise_image(HEIGHT, WIDTH)
    white, black = photo.copy(), photo.copy()
    paste(white, np.full((box.side, box.side, 3), 255, np.uint8), box)
    paste(black, np.zeros((box.side, box.side, 3), np.uint8), box)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    u, v = place_in_crop(box, x, y)
    outside = np.maximum(abs(u - 0.5), abs(v - 0.5)) >= 0.5
    face = np.maximum(abs(u - 0.5), abs(v - 0.545)) <= 0.656 / 2 * 0.85  # of the box all but its corners
    assert outside.any() and face.any()
    np.testing.assert_array_equal(white[outside], photo[outside])
    np.testing.assert_array_equal(black[outside], photo[outside])
    assert (white[face] == 255).all() and (black[face] == 0).all()


def test_the_border_is_soft():
    u = np.linspace(0, 1, 101)
    weights = soft_mask(u, np.zeros_like(u))
    assert weights[0] == 1 and weights[-1] == 0 and (np.diff(weights) <= 0).all() and abs(np.diff(weights)).max() < 0.07
    assert soft_mask(np.array(0.97), np.array(0.97)) == 0 and soft_mask(np.array(-0.656), np.array(0.3)) == 1


def test_beyond_the_edge_the_photo_is_reflected():
    photo = noise_image(HEIGHT, WIDTH)
    crop = cut(photo, square(20, -4, HEIGHT - 17))
    np.testing.assert_array_equal(crop[:17, 4:], photo[-17:, :16])
    np.testing.assert_array_equal(crop[17:, 4:], photo[-4:-1, :16][::-1])
    np.testing.assert_array_equal(crop[:17, :4], photo[-17:, 1:5][:, ::-1])
    assert share_outside(square(20, -4, HEIGHT - 17), HEIGHT, WIDTH) == 0.2
    assert (
        share_outside(square(20, WIDTH - 15, 3), HEIGHT, WIDTH) == 0.25
        and share_outside(square(20, 0, 0), HEIGHT, WIDTH) == 0
    )
    assert share_outside(square(20, 3, -1), HEIGHT, WIDTH) == 0.05 and bounds(square(3, -1, 2)) == (-1, 2, 2, 5)
