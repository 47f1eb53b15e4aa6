"""Networks of U-GAT-IT as linen modules; nothing here knows of training or of TensorFlow."""

from ugatit_jax.models.discriminator import Discriminator, DiscriminatorOutput
from ugatit_jax.models.generator import Generator, GeneratorOutput

__all__ = ['Discriminator', 'DiscriminatorOutput', 'Generator', 'GeneratorOutput']
