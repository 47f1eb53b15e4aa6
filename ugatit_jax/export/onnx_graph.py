"""A generator as an ONNX graph, written from its parameters: what models/generator.py computes, layer by layer, as NCHW."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import onnx
from onnx import helper

from ugatit_jax.common.errors import UserError
from ugatit_jax.export.onnx_nodes import SPACE, Nodes
from ugatit_jax.models.decoder_norm import groups_of
from ugatit_jax.models.generator import Generator
from ugatit_jax.models.ops.convolution import subpixel_kernel

INPUT, OUTPUT = 'image', 'translated'  # float32 [batch, channels, height, width] in [-1, 1]
MAX_BYTES = 2**31 - 2**20  # of a protobuf message, less the graph around the weights

Params = dict[str, Any]


def generator_model(
    generator: Generator,
    params: Params,
    *,
    channels: int,
    batch: int | None,
    size: int | None,
    dtype: str = 'float32',
) -> onnx.ModelProto:
    """The model of a generator with `channels` input channels; batch, size: None for any, which a full model cannot have.

    dtype: 'float32', or 'float16' for weights, convolutions and the maps between them. Raises UserError for more than 2 GB.
    """
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    if count * np.dtype(dtype).itemsize > MAX_BYTES:
        raise UserError(f'an .onnx file holds at most 2 GB, and the generator has {count:,} weights; take --dtype=float16')
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    writer = GeneratorWriter(generator, params, size, dtype)
    writer.image(INPUT)
    sides = ['height', 'width'] if size is None else [size, size]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ['batch' if batch is None else batch, c, *sides])
        for name, c in ((INPUT, channels), (OUTPUT, generator.out_channels))
    ]
    return writer.nodes.model(values[:1], values[1:])


class GeneratorWriter:
    """Adds a generator's nodes, part by part."""

    def __init__(self, generator: Generator, params: Params, size: int | None, dtype: str):
        self.generator, self.params, self.size = generator, params, size
        self.nodes = Nodes(dtype)
        self.channels = generator.ch * 2**generator.n_down  # of the residual blocks' map

    def image(self, image: str) -> None:
        """All nodes, from the input to OUTPUT."""
        g, nodes, params = self.generator, self.nodes, self.params
        border = (g.stem_kernel // 2,) * 2
        image = nodes.to_dtype(image)
        if g.pixel_unshuffle != 1:
            image = nodes.add('SpaceToDepth', image, blocksize=g.pixel_unshuffle)
        x = self.conv(image, params['stem'], border)
        x = self.instance_norm(x, params.get('stem_norm'), g.ch, relu=True) if g.stem_norm else nodes.add('Relu', x)
        for i in range(g.n_down):
            x = self.conv(x, params[f'down_{i}'], g.down_padding, stride=2)
            x = self.instance_norm(x, params.get(f'down_norm_{i}'), g.ch * 2 ** (i + 1), relu=True)
        x = self.residual_blocks('encoder', x, partial(self.instance_norm, channels=self.channels))
        if g.use_cam:
            x = self.attend(x)
        gamma, beta = self.feature_statistics(x) if g.decoder_norm == 'adain' else self.gamma_beta(x)
        x = self.residual_blocks('decoder', x, partial(self.decoder_norm, gamma=gamma, beta=beta))
        for i in range(g.n_down):
            x = self.up_conv(x, params[f'up_{i}'])
            x = self.up_norm(x, params[f'up_norm_{i}'], g.ch * 2 ** (g.n_down - 1 - i))
        if g.image_skip:
            x = nodes.add('Concat', x, image, axis=1)
        x = nodes.add('Tanh', nodes.to_float32(self.conv(x, params['head'], border)))
        if g.pixel_unshuffle != 1:
            nodes.add('DepthToSpace', x, blocksize=g.pixel_unshuffle, mode='DCR')
        nodes.nodes[-1].output[:] = [OUTPUT]

    def conv(self, x: str, params: Params, padding: tuple[int, int], stride: int = 1) -> str:
        """A convolution with reflect padding; depthwise, then 1x1 where it is separable."""
        if 'depthwise' in params:
            x = self.nodes.conv(
                x, params['depthwise']['kernel'], None, tuple(padding), stride, groups=params['depthwise']['kernel'].shape[3]
            )
            params, padding, stride = params['pointwise'], (0, 0), 1
        return self.nodes.conv(x, params['kernel'], params.get('bias'), tuple(padding), stride)

    def up_conv(self, x: str, params: Params) -> str:
        """Nearest x2 and a 3x3 convolution, as four 2x2 convolutions of the small map; a separable one is 1x1 first."""
        if 'depthwise' in params:
            x = self.nodes.conv(x, params['pointwise']['kernel'], None)
            return self.nodes.up_depthwise(x, params['depthwise']['kernel'], params['depthwise'].get('bias'))
        kernel = np.asarray(subpixel_kernel(params['kernel']))
        bias = params.get('bias')
        bias = None if bias is None else np.tile(bias, 4)
        return self.nodes.depth_to_space(self.nodes.conv(x, kernel, bias, (1, 1), mode='edge'))

    def instance_norm(self, x: str, params: Params | None, channels: int, relu: bool = False) -> str:
        """Instance norm; params: None where it learns nothing."""
        ones = np.ones(channels, np.float32)
        scale, bias = (ones, 0 * ones) if params is None else (params['scale'], params['bias'])
        return self.nodes.instance_norm(x, scale, bias, relu)

    def residual_blocks(self, name: str, x: str, norm: Callable[..., str]) -> str:
        """n_res times x + norm(conv(relu(norm(conv(x)))))."""
        for block in range(self.generator.n_res):
            params, y = jax.tree.map(lambda leaf, block=block: leaf[block], self.params[name]), x
            for i in range(2):
                y = self.conv(y, params[f'conv_{i}'], (1, 1))
                y = norm(y, params.get(f'norm_{i}'), relu=i == 0)
            x = self.nodes.add('Add', x, y)
        return x

    def decoder_norm(self, x: str, params: Params | None, gamma: str, beta: str, relu: bool) -> str:
        """AdaLIN, or the norm of an ablation."""
        g, channels = self.generator, self.channels
        if g.decoder_norm == 'adalin':
            rho = np.clip(params['rho'] - g.rho_smoothing, 0, 1) if g.rho_smoothing else params['rho']
            return self.nodes.adalin(x, rho.astype(np.float32), gamma, beta, g.variance_ddof, relu)
        groups = groups_of(g.decoder_norm, g.norm_groups) or channels
        return self.nodes.group_norm(x, groups, channels, gamma, beta, g.variance_ddof, relu)

    def up_norm(self, x: str, params: Params, channels: int) -> str:
        """LIN, or the norm of an ablation; then ReLU."""
        g = self.generator
        gamma, beta = (params[name].reshape(1, -1, 1, 1) for name in ('gamma', 'beta'))
        if g.up_norm == 'lin':
            return self.nodes.adalin(x, params['rho'], gamma, beta, g.variance_ddof, relu=True)
        groups = groups_of(g.up_norm, g.norm_groups) or channels
        return self.nodes.group_norm(x, groups, channels, gamma, beta, g.variance_ddof, relu=True)

    def attend(self, x: str) -> str:
        """CAM attention: the classifiers' weights are constants, and folded into the 1x1 convolution."""
        params, shared = self.params['cam'], self.generator.cam_shared
        classifiers = [params[name] for name in (('classifier', 'classifier') if shared else ('average', 'max'))]
        weights = [classifier['kernel'][:, 0] + classifier.get('bias', 0) for classifier in classifiers]
        kernel = params['kernel'] * np.concatenate(weights)[:, None]  # [1, 1, 2 C, C]
        channels = kernel.shape[3]
        folded = kernel[:, :, :channels] + kernel[:, :, channels:]
        return self.nodes.add('Relu', self.nodes.conv(x, folded, params['bias']))

    def feature_statistics(self, x: str) -> tuple[str, str]:
        """AdaIN's gamma and beta: standard deviation and mean of the attended features."""
        mean, _, variance = self.nodes.moments(self.nodes.to_float32(x))
        return self.nodes.deviation(variance), mean

    def gamma_beta(self, x: str) -> tuple[str, str]:
        """The MLP on the attended map -> gamma, beta [B, C, 1, 1]."""
        g, nodes = self.generator, self.nodes
        x, side = nodes.to_float32(x), g.mlp_pool or self.size // g.side_multiple
        if g.mlp_pool == 1:
            x = nodes.add('ReduceMean', x, SPACE)
        elif g.mlp_pool:
            x = nodes.pool_to(x, g.mlp_pool)
        x = nodes.add('Flatten', x, axis=1)  # channels, rows, columns; in JAX channels come last
        channels, width = self.channels, g.mlp_width
        first = self.params['mlp_0']['kernel'].reshape(side, side, channels, width).transpose(2, 0, 1, 3)
        x = self.dense(x, self.params['mlp_0'] | {'kernel': first.reshape(-1, width)})
        x = nodes.add('Relu', self.dense(nodes.add('Relu', x), self.params['mlp_1']))
        of_channels = np.array([0, channels, 1, 1])
        return tuple(nodes.add('Reshape', self.dense(x, self.params[name]), of_channels) for name in ('gamma', 'beta'))

    def dense(self, x: str, params: Params) -> str:
        """x [B, in] @ kernel + bias in float32; the kernel is stored in the dtype of the convolutions."""
        kernel = self.nodes.to_float32(self.nodes.constant(params['kernel'].astype(self.nodes.dtype)))
        y = self.nodes.add('MatMul', x, kernel)
        return self.nodes.add('Add', y, params['bias']) if 'bias' in params else y
