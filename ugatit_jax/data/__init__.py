"""The data path: open_datasets(config), train_batches(...), eval_images(...). Imports neither JAX nor TensorFlow."""

from ugatit_jax.data.datasets import Datasets, eval_images, open_datasets
from ugatit_jax.data.pipeline import train_batches
from ugatit_jax.data.sources.open_source import Source

__all__ = ['Datasets', 'Source', 'eval_images', 'open_datasets', 'train_batches']
