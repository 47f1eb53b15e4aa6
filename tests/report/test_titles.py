"""Words beside the names of images, and names that break between words."""

import pytest

from ugatit_jax.report.titles import breakable, image_title


@pytest.mark.parametrize(
    'name, title',
    [
        ('real_A', 'an image of A'),
        ('fake_B', 'translated to B'),
        ('rec_A', 'translated to B and back'),
        ('idt_A', "A as B's generator sees it"),
        ('heatmap ', 'where the generator looks'),
        ('nearest real', ''),
    ],
)
def test_titles(name, title):
    assert image_title(name) == title


def test_names_break_after_separators_and_are_escaped():
    assert breakable('a_b-c/<d>.png') == 'a_<wbr>b-<wbr>c/<wbr>&lt;d&gt;.<wbr>png'
    assert breakable('plain') == 'plain' and breakable('x__y') == 'x__<wbr>y'
