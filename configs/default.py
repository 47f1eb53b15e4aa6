"""The defaults alone, for any data set; every setting with its reason is in ugatit_jax/default_config.py."""
from ugatit_jax.default_config import get_config

__all__ = ['get_config']
