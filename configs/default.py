"""The default config, for any data set; every field with its reason is in ugatit_jax/config/default.py."""

from ugatit_jax.config.default import get_config

__all__ = ['get_config']
