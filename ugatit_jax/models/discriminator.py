"""The discriminator (paper, section 2.1.2): a spectrally normalised patch discriminator with CAM attention."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from ugatit_jax.models.cam import CAM
from ugatit_jax.models.ops.convolution import Conv
from ugatit_jax.models.ops.padding import Padding
from ugatit_jax.models.spectral_norm import SpectralConv

leaky_relu = partial(nn.leaky_relu, negative_slope=0.2)


@struct.dataclass
class DiscriminatorOutput:
    """Output for images [B, h, w, C]."""

    logit: jax.Array  # [B, h', w', 1], one for each patch
    cam_logit: jax.Array | None  # [B, 2], of the average and the max pool; None without CAM
    heatmap: jax.Array | None  # [B, h'', w'']; None without CAM


class Discriminator(nn.Module):
    """images [B, h, w, C] in [-1, 1] -> DiscriminatorOutput; n_layers 7 is the global one, 5 the local one."""

    ch: int
    n_layers: int
    patch_padding: Padding
    head_bias: bool
    cam_shared: bool
    cam_bias: bool
    cam_attention_normalized: bool
    weight_init: str
    dtype: jnp.dtype = jnp.float32
    use_cam: bool = True  # without it the head sees the last features as they are
    spectral: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> DiscriminatorOutput:
        conv = partial(
            SpectralConv if self.spectral else Conv, kernel_size=4, weight_init=self.weight_init, dtype=self.dtype
        )
        halvings = self.n_layers - 2
        for i in range(halvings):
            x = leaky_relu(conv(self.ch * 2**i, stride=2, padding=(1, 1), name=f'conv_{i}')(x))
        x = leaky_relu(conv(self.ch * 2**halvings, stride=1, padding=self.patch_padding, name='conv_last')(x))
        cam_logit = heatmap = None
        if self.use_cam:
            x, cam_logit, heatmap = CAM(
                leaky_relu,
                self.cam_shared,
                self.cam_bias,
                self.weight_init,
                self.dtype,
                spectral=self.spectral,
                attention_normalized=self.cam_attention_normalized,
                name='cam',
            )(x)
        x = conv(1, stride=1, padding=self.patch_padding, use_bias=self.head_bias, name='logit')(x)
        return DiscriminatorOutput(x.astype(jnp.promote_types(self.dtype, jnp.float32)), cam_logit, heatmap)


def fits(size: int, n_layers: int, patch_padding: Padding) -> bool:
    """Whether every reflect padding of a discriminator of that depth fits an image of size x size."""
    for _ in range(n_layers - 2):
        if size < 2:
            return False
        size = (size + 2 - 4) // 2 + 1
    for _ in range(2):
        if size <= max(patch_padding):
            return False
        size = size + sum(patch_padding) - 3
    return size >= 1
