"""What pyproject.toml cannot say."""

from setuptools import find_packages, setup

setup(
    license='Apache-2.0',  # here: the form of this field in pyproject.toml depends on the version of setuptools
    packages=[*find_packages(include=['ugatit_jax', 'ugatit_jax.*']), 'ugatit_jax.configs'],
    package_dir={'ugatit_jax.configs': 'configs'},  # --config=cat2dog finds them in an installed package, too
)
