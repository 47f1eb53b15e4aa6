"""The detector, on drawn faces."""

import sys
import types

import numpy as np
import pytest

from tests.helpers.drawn_face import photo
from tests.helpers.translation import noise_image
from ugatit_jax.common.errors import UserError
from ugatit_jax.faces.detect import find_faces, require_opencv


@pytest.mark.parametrize('side, angle', [(60, 0), (150, 12), (150, -28), (110, 52)])
def test_a_face_has_its_place_size_and_angle(side, angle):
    (face,) = find_faces(photo(240, 200, (110, 90, side, angle)))
    # of the drawing's side: the box is 0.8 of it at any size, its centre up to 0.1 below that of the head
    assert np.hypot(face.x - 110, face.y - 90) < 0.12 * side and 0.7 < face.side / side < 0.9
    assert abs(face.angle - angle) < 6  # an eye's box is one pixel of twenty off


def test_several_faces_in_a_photo_that_is_reduced():
    faces = sorted(find_faces(photo(1500, 340, (250, 170, 300, 0), (750, 170, 200, 20), (1200, 200, 110, 0))))
    assert [round(face.x, -1) for face in faces] == pytest.approx([250, 750, 1200], abs=30)
    np.testing.assert_allclose([face.side for face in faces], [240, 160, 88], rtol=0.15)


def test_no_face_where_there_is_none():
    assert find_faces(photo(200, 120)) == [] and find_faces(noise_image(120, 160)) == []
    assert find_faces(np.zeros((2, 90, 3), np.uint8)) == []
    assert find_faces(photo(200, 200, (100, 100, 150, 180))) == []  # upside down


def test_a_missing_or_too_new_opencv_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(UserError, match=r"--faces needs OpenCV; hint: pip install 'ugatit_jax\[faces\]'"):
        find_faces(photo(64, 64))
    monkeypatch.setitem(sys.modules, 'cv2', types.SimpleNamespace(__version__='5.0.0'))
    with pytest.raises(UserError, match='needs OpenCV 4, .*this is 5.0.0; hint: pip'):
        require_opencv()
