"""examples/run_stablehlo.py translates with an exported file, and without the package."""

import os
import subprocess
import sys

import numpy as np
from PIL import Image

import ugatit_jax
from tests.helpers.image_files import smooth
from tests.helpers.paths import ROOT
from tests.helpers.translation import write_checkpoint
from ugatit_jax.export.single_file import export_file


def test_it_gives_the_image_of_the_translator(tmp_path):
    workdir = write_checkpoint(tmp_path / 'run', data__source='emoji')
    export_file(workdir, str(tmp_path / 'x.stablehlo'), direction='a2b')
    image = smooth(20, 26)
    Image.fromarray(image).save(tmp_path / 'in.png')
    script = (ROOT / 'examples' / 'run_stablehlo.py').read_text()
    assert 'import ugatit_jax' not in script and 'from ugatit_jax' not in script
    subprocess.run(
        [sys.executable, '-', 'x.stablehlo', 'in.png', 'out.png'], input=script, cwd=tmp_path, env=os.environ, text=True,
        check=True,
    )  # fmt: skip
    made = np.asarray(Image.open(tmp_path / 'out.png'))
    expected = ugatit_jax.load(workdir)(np.asarray(Image.fromarray(image).resize((24, 20))), size='original')
    assert made.shape == (20, 24, 3) and np.abs(made.astype(int) - expected).max() <= 1
