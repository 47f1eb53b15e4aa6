"""Translates an image with an exported generator; needs jax, flatbuffers, numpy and Pillow, and not ugatit_jax.

python -m ugatit_jax.export --checkpoint=runs/mine --to=x.stablehlo --direction=a2b
python examples/run_stablehlo.py x.stablehlo in.png out.png
"""

import pathlib
import sys

import numpy as np
from jax import export
from PIL import Image

model, source, target = sys.argv[1:]
translate = export.deserialize(bytearray(pathlib.Path(model).read_bytes()))
image = Image.open(source).convert('RGB')
height, width = translate.in_avals[0].shape[1:3]
if not isinstance(height, int):  # any multiples: '4*h'
    multiple = int(str(height).partition('*')[0])
    width, height = (side // multiple * multiple for side in image.size)
pixels = np.asarray(image.resize((width, height)), np.float32)
result = np.asarray(translate.call(pixels[None] / 127.5 - 1))[0]
Image.fromarray(((result + 1) * 127.5).round().clip(0, 255).astype(np.uint8)).save(target)
