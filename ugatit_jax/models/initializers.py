"""The two initialisations: N(0, 0.02) of the paper, PyTorch's defaults of the later release."""

import math

import jax
from flax import linen as nn

Initializer = nn.initializers.Initializer


def kernel_init(name: str) -> Initializer:
    """Initializer of a kernel [..., in, out]: 'normal' is N(0, 0.02), 'torch' uniform within 1/sqrt(fan_in)."""
    if name == 'normal':
        return nn.initializers.normal(0.02)
    # kaiming_uniform with a = sqrt(5), the default of torch.nn.Conv2d and Linear: bound sqrt(6 / (6 fan_in))
    return nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


def bias_init(name: str, fan_in: int) -> Initializer:
    """Initializer of a bias [out]: zeros for 'normal', uniform within 1/sqrt(fan_in) for 'torch'."""
    if name == 'normal':
        return nn.initializers.zeros_init()
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)
