"""What is said about the faces of a photo."""

from ugatit_jax.faces.detect import Face
from ugatit_jax.faces.found import sort_faces


def test_large_faces_from_left_to_right_and_a_line_about_all():
    faces = [
        Face(300, 100, 40, 0),
        Face(100, 100, 50, 0),
        Face(12, 80, 36, 30),
        Face(200, 50, 18, 0),
        Face(250, 50, 31.4, 0),
    ]
    found = sort_faces(faces, 200, 400)
    assert [box.side for box in found.boxes] == [55, 76, 61] and [box.angle for box in found.boxes] == [30, 0, 0]
    assert found.summary() == (
        '3 faces; 1 cut off at the edge (the rest of the crop was filled by reflection); '
        '2 of 18, 31 pixels are too small and were left'
    )
    assert sort_faces(faces[:1], 200, 400).summary() == '1 face' and sort_faces([], 200, 400).summary() == 'no face'
    assert sort_faces(faces[3:4], 200, 400).summary() == 'no face; 1 of 18 pixels is too small and was left'
    assert sort_faces([Face(100, 100, 32, 0)], 200, 400).boxes
