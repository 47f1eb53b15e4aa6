"""EfficientNet-Lite0 (Tan and Le 2019; the Lite variant of 2020), float32 throughout: features, and a perceptual distance.

Inverted residual blocks (MBConv) without squeeze-and-excitation, with ReLU6 instead of swish. Names are those of the
weights' file.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ugatit_jax.models.ops.depthwise import shifted_products

SIDE = 224  # pixels of the input that it was trained on
FEATURES = 1280  # of the last average pool
CLASSES = 1000  # of the unused classification head
STEM, HEAD = '_conv_stem', '_conv_head'
STEM_CHANNELS = 32
NORM_EPS = 1e-10  # of the unit vectors; LPIPS's

Params = dict[str, dict[str, Any]]  # by convolution: kernel [kh, kw, in, out], scale [out], shift [out]


class Block(NamedTuple):
    """One inverted residual block: expansion, depthwise convolution, projection."""

    kernel: int
    stride: int
    expand: int  # factor of the channels between expansion and projection; 1 has no expansion
    channels_in: int
    channels_out: int

    @property
    def residual(self) -> bool:
        """Whether the input is added to the output."""
        return self.stride == 1 and self.channels_in == self.channels_out


STAGES = (  # repeats, and the first block; the repeated blocks have stride 1 and keep the channels
    (1, Block(3, 1, 1, 32, 16)),
    (2, Block(3, 2, 6, 16, 24)),
    (2, Block(5, 2, 6, 24, 40)),
    (3, Block(3, 2, 6, 40, 80)),
    (3, Block(5, 1, 6, 80, 112)),
    (4, Block(5, 2, 6, 112, 192)),
    (1, Block(3, 1, 6, 192, 320)),
)
BLOCKS = tuple(
    block if i == 0 else block._replace(stride=1, channels_in=block.channels_out)
    for repeats, block in STAGES
    for i in range(repeats)
)
COMPARED = (0, 2, 4, 10, 15)  # blocks whose outputs `distances` compares: the last of each resolution, 1/2 to 1/32


def layers() -> dict[str, tuple[str, tuple[int, int, int, int]]]:
    """By convolution: the name of the batch norm after it, and its kernel's (out, in, kh, kw) as in the weights' file."""
    found = {STEM: ('_bn0', (STEM_CHANNELS, 3, 3, 3))}
    for i, block in enumerate(BLOCKS):
        name, inner = f'_blocks.{i}', block.channels_in * block.expand
        if block.expand != 1:
            found[f'{name}._expand_conv'] = (f'{name}._bn0', (inner, block.channels_in, 1, 1))
        found[f'{name}._depthwise_conv'] = (f'{name}._bn1', (inner, 1, block.kernel, block.kernel))
        found[f'{name}._project_conv'] = (f'{name}._bn2', (block.channels_out, inner, 1, 1))
    found[HEAD] = ('_bn1', (FEATURES, BLOCKS[-1].channels_out, 1, 1))
    return found


def conv_bn(params: Params, name: str, x: jax.Array, stride: int = 1) -> jax.Array:
    """Convolution `name` of x [B, h, w, in], padding SAME, and its folded batch norm; full float32 on every backend."""
    layer = params[name]
    y = lax.conv_general_dilated(
        x,
        layer['kernel'],
        (stride, stride),
        'SAME',
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        precision=lax.Precision.HIGHEST,
    )
    return y * layer['scale'] + layer['shift']


def depthwise_conv_bn(params: Params, name: str, x: jax.Array, stride: int) -> jax.Array:
    """As `conv_bn`, each channel of x [B, h, w, C] with its own kernel [k, k, 1, C].

    `shifted_products` on every backend: full float32 everywhere.
    """
    layer = params[name]
    kernel, (h, w) = layer['kernel'], x.shape[1:3]
    k = kernel.shape[0]
    out_h, out_w = -(-h // stride), -(-w // stride)
    pads = [max((out - 1) * stride + k - n, 0) for out, n in ((out_h, h), (out_w, w))]
    x = jnp.pad(x, ((0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)))  # TensorFlow's SAME: the odd one after
    y = shifted_products(x, kernel, stride)
    return y * layer['scale'] + layer['shift']


def apply_block(params: Params, i: int, x: jax.Array) -> jax.Array:
    """Block i on x [B, h, w, in]."""
    block, name, y = BLOCKS[i], f'_blocks.{i}', x
    if block.expand != 1:
        y = jax.nn.relu6(conv_bn(params, f'{name}._expand_conv', y))
    y = jax.nn.relu6(depthwise_conv_bn(params, f'{name}._depthwise_conv', y, block.stride))
    y = conv_bn(params, f'{name}._project_conv', y)  # no activation: the bottleneck is linear
    return x + y if block.residual else y


def block_outputs(params: Params, images: jax.Array) -> list[jax.Array]:
    """Outputs [B, h, w, C] of all blocks for images [B, H, W, 3] from resize.py."""
    x, outputs = jax.nn.relu6(conv_bn(params, STEM, images, stride=2)), []
    for i in range(len(BLOCKS)):
        x = apply_block(params, i, x)
        outputs.append(x)
    return outputs


def features(params: Params, images: jax.Array) -> jax.Array:
    """Global average pool of the head: images [B, H, W, 3] from resize.py -> float32 [B, 1280]."""
    return jax.nn.relu6(conv_bn(params, HEAD, block_outputs(params, images)[-1])).mean((1, 2))


def distances(params: Params, pairs: jax.Array) -> jax.Array:
    """Perceptual distance of the two images of each pair, [B, 2, H, W, 3] from resize.py -> float32 [B], 0 to 4.

    Built as LPIPS (Zhang et al. 2018, equation 1): features as unit vectors over channels, squared difference, mean over
    space. It is not LPIPS: another network, no learned weights of channels, and the mean over stages instead of their sum.
    """
    outputs = block_outputs(params, pairs.reshape(-1, *pairs.shape[2:]))
    stages = []
    for i in COMPARED:
        x = outputs[i].reshape(*pairs.shape[:2], *outputs[i].shape[1:])  # [B, 2, h, w, C]
        x = x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + NORM_EPS)
        stages.append(jnp.square(x[:, 0] - x[:, 1]).sum(-1).mean((1, 2)))
    return jnp.stack(stages).mean(0)
