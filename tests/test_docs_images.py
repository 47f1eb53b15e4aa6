"""The command that makes the images of README."""

import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.browser import BROWSERS
from benchmarks.docs_images import README_WIDTH, main
from tests.helpers.run_workdir import COLOURS, make_workdir, short_row_of


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason='no Chromium here (Debian: chromium)')
def test_preview_and_page(tmp_path):
    workdir = make_workdir(tmp_path / 'run', range(10, 101, 10), short_row_of)
    (tmp_path / 'docs').mkdir()
    assert main([f'--workdir={workdir}', f'--output={tmp_path / "docs"}']) == 0
    with Image.open(tmp_path / 'docs' / 'demo.png') as image:
        assert image.size == (120, 80) and image.getpixel((5, 5)) == COLOURS[100]
    with Image.open(tmp_path / 'docs' / 'report.png') as image:
        pixels = np.asarray(image.convert('RGB')).reshape(-1, 3).astype(int)
        assert image.width == README_WIDTH
    near = abs(pixels - COLOURS[100]).max(axis=1) <= 8  # the page is drawn, with its preview in it
    assert near.mean() > 0.1 and (pixels == 255).all(axis=1).mean() > 0.2


def test_a_run_without_previews_is_one_line(tmp_path, capsys):
    workdir = make_workdir(tmp_path / 'run', range(10, 101, 10), short_row_of)
    shutil.rmtree(workdir / 'previews')
    assert main([f'--workdir={workdir}', f'--output={tmp_path}']) == 2
    assert 'has no previews; make demo' in capsys.readouterr().err
