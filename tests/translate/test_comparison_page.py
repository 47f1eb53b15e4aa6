"""The page of --compare."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.helpers.translation import noise_image
from ugatit_jax.common.errors import UserError
from ugatit_jax.translate.comparison_page import MAX_SIDE, make_row, write_page


def test_images_are_reduced_and_names_escaped(tmp_path):
    row = make_row('<b>\udcff.png', noise_image(100, 2 * MAX_SIDE, 4), noise_image(8, 1, 1))
    for uri, size in ((row.input, (MAX_SIDE, 50)), (row.output, (1, 8))):
        head, data = uri.split(',')
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert head == 'data:image/jpeg;base64' and image.size == size and image.mode == 'RGB'
            assert np.asarray(image).std() > 5
    path = tmp_path / 'index.html'
    write_page(str(path), [row], 'mine step 7 ema', 'b2a', None)
    html = path.read_text(encoding='utf-8')
    assert 'B to A' in html and 'mine step 7 ema' in html and '&lt;b&gt;\\udcff.<wbr>png' in html and 'synthetic' not in html
    with pytest.raises(UserError, match='cannot be written'):
        write_page(str(tmp_path / 'none' / 'index.html'), [row], 'mine', 'a2b', None)
