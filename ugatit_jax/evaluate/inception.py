"""InceptionV3 of KID and FID (Szegedy et al. 2016, weights of 2015-12-05), float32 throughout.

It differs from torchvision's classification network: the average pools do not count the padding, the last block's pool is a
maximum, and there is no auxiliary head. Names are those of the weights' file.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SIDE = 299  # pixels of the input
FEATURES = 2048  # of the last average pool
BN_EPS = 1e-3  # TensorFlow's; torch's default is 1e-5
CLASSES = 1008  # of the unused classification head

Layer = tuple[int, int, int]  # output channels, kernel height, kernel width
Params = dict[str, dict[str, Any]]  # by layer: kernel [kh, kw, in, out], scale [out], shift [out]


class Branch(NamedTuple):
    """A sequence of convolutions; the two of `fork`, if any, both read its output and are concatenated."""

    name: str
    layers: tuple[Layer, ...]
    fork: tuple[Layer, ...] = ()


class Block(NamedTuple):
    """Parallel branches on the same map, the pool's last; a `reduction` block halves the map with stride 2."""

    name: str
    branches: tuple[Branch, ...]
    pool: str = 'average'  # 'average' | 'max', 3x3
    reduction: bool = False


STEM = (  # name, layer, stride, padding
    ('Conv2d_1a_3x3', (32, 3, 3), 2, 'VALID'),
    ('Conv2d_2a_3x3', (32, 3, 3), 1, 'VALID'),
    ('Conv2d_2b_3x3', (64, 3, 3), 1, 'SAME'),
    ('Conv2d_3b_1x1', (80, 1, 1), 1, 'VALID'),
    ('Conv2d_4a_3x3', (192, 3, 3), 1, 'VALID'),
)
POOLED = ('Conv2d_2b_3x3', 'Conv2d_4a_3x3')  # a 3x3 max pool of stride 2 follows these


def block_a(name: str, pool_channels: int) -> Block:
    """torchvision's InceptionA, at 35x35."""
    return Block(
        name,
        (
            Branch('branch1x1', ((64, 1, 1),)),
            Branch('branch5x5', ((48, 1, 1), (64, 5, 5))),
            Branch('branch3x3dbl', ((64, 1, 1), (96, 3, 3), (96, 3, 3))),
            Branch('branch_pool', ((pool_channels, 1, 1),)),
        ),
    )


def block_c(name: str, c: int) -> Block:
    """torchvision's InceptionC, at 17x17: 7x7 kernels factorised into 1x7 and 7x1; c: channels between them."""
    return Block(
        name,
        (
            Branch('branch1x1', ((192, 1, 1),)),
            Branch('branch7x7', ((c, 1, 1), (c, 1, 7), (192, 7, 1))),
            Branch('branch7x7dbl', ((c, 1, 1), (c, 7, 1), (c, 1, 7), (c, 7, 1), (192, 1, 7))),
            Branch('branch_pool', ((192, 1, 1),)),
        ),
    )


def block_e(name: str, pool: str) -> Block:
    """torchvision's InceptionE, at 8x8."""
    fork = ((384, 1, 3), (384, 3, 1))
    return Block(
        name,
        (
            Branch('branch1x1', ((320, 1, 1),)),
            Branch('branch3x3', ((384, 1, 1),), fork),
            Branch('branch3x3dbl', ((448, 1, 1), (384, 3, 3)), fork),
            Branch('branch_pool', ((192, 1, 1),)),
        ),
        pool,
    )


BLOCKS = (
    block_a('Mixed_5b', 32),
    block_a('Mixed_5c', 64),
    block_a('Mixed_5d', 64),
    Block(
        'Mixed_6a',
        (Branch('branch3x3', ((384, 3, 3),)), Branch('branch3x3dbl', ((64, 1, 1), (96, 3, 3), (96, 3, 3)))),
        'max',
        True,
    ),
    block_c('Mixed_6b', 128),
    block_c('Mixed_6c', 160),
    block_c('Mixed_6d', 160),
    block_c('Mixed_6e', 192),
    Block(
        'Mixed_7a',
        (
            Branch('branch3x3', ((192, 1, 1), (320, 3, 3))),
            Branch('branch7x7x3', ((192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3))),
        ),
        'max',
        True,
    ),
    block_e('Mixed_7b', 'average'),
    block_e('Mixed_7c', 'max'),
)


def layer_names(block: Block, branch: Branch) -> list[str]:
    """Names of a branch's layers, those of its fork last; numbered from 1 where there are several."""
    prefix, count = f'{block.name}.{branch.name}', len(branch.layers)
    if count == 1 and not branch.fork:
        return [prefix]
    forked = [f'{prefix}_{count + 1}{letter}' for letter in 'ab'[: len(branch.fork)]]
    return [f'{prefix}_{i + 1}' for i in range(count)] + forked


def kernel_shapes() -> dict[str, tuple[int, int, int, int]]:
    """(out, in, kernel height, kernel width) of every layer by name, as the weights' file has them."""
    shapes, channels = {}, 3
    for name, (out, height, width), _, _ in STEM:
        shapes[name] = (out, channels, height, width)
        channels = out
    for block in BLOCKS:
        out_channels = channels if block.reduction else 0  # a reduction block also outputs its input, pooled
        for branch in block.branches:
            names, in_channels = layer_names(block, branch), channels
            for i, (out, height, width) in enumerate(branch.layers + branch.fork):
                shapes[names[i]] = (out, in_channels, height, width)
                in_channels = out if i < len(branch.layers) else in_channels
            out_channels += sum(out for out, _, _ in branch.fork) or branch.layers[-1][0]
        channels = out_channels
    return shapes


def fold_batch_norm(
    kernel: np.ndarray, weight: np.ndarray, bias: np.ndarray, mean: np.ndarray, var: np.ndarray
) -> dict[str, Any]:
    """A kernel [out, in, kh, kw] and the batch norm after it, [out] each -> {kernel [kh, kw, in, out], scale, shift}."""
    scale = weight.astype(np.float64) / np.sqrt(var.astype(np.float64) + BN_EPS)
    return {
        'kernel': np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), np.float32),
        'scale': scale.astype(np.float32),
        'shift': (bias - mean * scale).astype(np.float32),
    }


def conv_bn_relu(params: Params, name: str, x: jax.Array, stride: int = 1, padding: str = 'SAME') -> jax.Array:
    """Layer `name` on x [B, h, w, in]: convolution, folded batch norm, ReLU; full float32 on every backend."""
    layer = params[name]
    y = lax.conv_general_dilated(
        x,
        layer['kernel'],
        (stride, stride),
        padding,
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        precision=lax.Precision.HIGHEST,
    )
    return jax.nn.relu(y * layer['scale'] + layer['shift'])


def max_pool(x: jax.Array, stride: int, padding: str) -> jax.Array:
    """3x3 max pool of x [B, h, w, C]; the padding is minus infinity."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def average_pool(x: jax.Array) -> jax.Array:
    """3x3 average pool of x [B, h, w, C], stride 1; the padding does not count."""

    def window_sum(values: jax.Array) -> jax.Array:
        return lax.reduce_window(values, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'SAME')

    return window_sum(x) / window_sum(jnp.ones_like(x[:1, :, :, :1]))


def apply_block(params: Params, block: Block, x: jax.Array) -> jax.Array:
    """x [B, h, w, in] -> the outputs of the block's branches, concatenated."""
    outputs = []
    for branch in block.branches:
        names, y = layer_names(block, branch), x
        if branch.name == 'branch_pool':
            y = average_pool(x) if block.pool == 'average' else max_pool(x, 1, 'SAME')
        for i in range(len(branch.layers)):
            last = block.reduction and i == len(branch.layers) - 1
            y = conv_bn_relu(params, names[i], y, *((2, 'VALID') if last else (1, 'SAME')))
        forked = names[len(branch.layers) :]
        outputs += [conv_bn_relu(params, name, y) for name in forked] if forked else [y]
    if block.reduction:
        outputs.append(max_pool(x, 2, 'VALID'))
    return jnp.concatenate(outputs, axis=-1)


def features(params: Params, images: jax.Array) -> jax.Array:
    """Global average pool of the last block: images [B, 299, 299, 3] from resize.py -> float32 [B, 2048]."""
    x = images
    for name, _, stride, padding in STEM:
        x = conv_bn_relu(params, name, x, stride, padding)
        if name in POOLED:
            x = max_pool(x, 2, 'VALID')
    for block in BLOCKS:
        x = apply_block(params, block, x)
    return jnp.mean(x, axis=(1, 2))
