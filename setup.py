"""For tools that ask for setup.py; pyproject.toml has everything else."""

from setuptools import setup

setup(license='Apache-2.0')  # here: the form of this field in pyproject.toml depends on the version of setuptools
