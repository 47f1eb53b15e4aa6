"""Packaging: lower bounds are versions that were tried; requirements.txt has the exact set that the tests run on."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (HERE / 'ugatit_jax' / '__init__.py').read_text())[1]
SMALL_TENSORFLOW = "platform_system == 'Linux' and platform_machine == 'x86_64'"  # where tensorflow-cpu has wheels
OTHER_TENSORFLOW = "platform_system != 'Linux' or platform_machine != 'x86_64'"

setup(
    name='ugatit_jax',
    version=VERSION,
    description='U-GAT-IT in JAX: unpaired image-to-image translation with CAM attention and AdaLIN',
    long_description=(HERE / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['ugatit_jax', 'ugatit_jax.*']),
    package_data={'ugatit_jax': ['report/templates/*.html']},
    python_requires='>=3.11',
    install_requires=[
        'absl-py>=2.3',
        'array_record>=0.8',  # prepared data sets
        'clu>=0.0.12',
        'etils[epath]>=1.13',
        'flax>=0.12.8',
        'importlib_resources>=6.5',  # tensorflow-datasets needs it for builders inside a package
        'jax>=0.10.2',
        'jinja2>=3.1',  # the pages
        'matplotlib>=3.10',  # the curves in the pages
        'ml-collections>=1.1',
        'numpy>=2.0',
        'optax>=0.2.8',
        'orbax-checkpoint>=0.12.8',
        'pillow>=11.3',  # reads AVIF from there on
        'tensorboard>=2.20',
        f'tensorflow-cpu>=2.20; {SMALL_TENSORFLOW}',  # reads images and writes TensorBoard files; never on the GPU
        f'tensorflow>=2.20; {OTHER_TENSORFLOW}',
        'tensorflow-datasets>=4.9.10',
        'tqdm>=4.67',
    ],
    extras_require={
        'cuda': ['jax[cuda]'],
        'safetensors': ['safetensors>=0.8'],  # ugatit_jax.convert --to=x.safetensors
        'tpu': ['jax[tpu]'],
        'torch': ['torch>=2.13'],  # ugatit_jax.convert --to=x.pt; reading such files needs no torch
        'test': ['hypothesis>=6.150', 'pytest>=9.0', 'pytest-xdist>=3.8', 'ruff>=0.15', 'selenium>=4.40'],
        'video': ['av>=18.1'],  # ugatit_jax.translate --input=x.mp4
    },
)
