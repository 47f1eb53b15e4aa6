"""The generator (paper, section 2.1.1): encoder, CAM attention, decoder with AdaLIN or what an ablation has instead."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct

from ugatit_jax.models.adalin import InstanceNorm
from ugatit_jax.models.cam import CAM
from ugatit_jax.models.decoder_norm import decoder_norm, feature_statistics, up_norm
from ugatit_jax.models.initializers import bias_init, kernel_init
from ugatit_jax.models.ops.convolution import Conv, UpConv
from ugatit_jax.models.ops.depthwise import SeparableConv, SeparableUpConv
from ugatit_jax.models.ops.padding import Padding
from ugatit_jax.models.ops.pixel_shuffle import pixel_shuffle, pixel_unshuffle

MIN_MAP = 4  # sides of the map of the residual blocks: instance statistics need several pixels


def side_multiple(n_down: int, pixel_unshuffle: int = 1) -> int:
    """What the sides of an image are a multiple of: the generator halves them n_down times after pixel_unshuffle."""
    return pixel_unshuffle * 2**n_down


def min_side(multiple: int) -> int:
    """The smallest side of an image, where sides are multiples of this."""
    return MIN_MAP * multiple


@struct.dataclass
class GeneratorOutput:
    """Output for images [B, h, w, C]."""

    image: jax.Array  # [B, h, w, out_channels] in [-1, 1]
    cam_logit: jax.Array | None  # [B, 2], of the average and the max pool; None without CAM
    heatmap: jax.Array | None  # [B, h/4, w/4], of the residual blocks' map (see n_down); None without CAM


class Dense(nn.Module):
    """x [B, in] -> [B, features], in at least float32: it is small, or reads its float32 kernel once (the full model's)."""

    features: int
    use_bias: bool
    weight_init: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        kernel = self.param('kernel', kernel_init(self.weight_init), (x.shape[-1], self.features), jnp.float32)
        y = jnp.dot(x, kernel.astype(x.dtype))
        if self.use_bias:
            y += self.param('bias', bias_init(self.weight_init, x.shape[-1]), (self.features,), jnp.float32)
        return y


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))); AdaLIN where gamma and beta are given, else instance norm."""

    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array, *gamma_beta: jax.Array) -> tuple[jax.Array, None]:
        features = x.shape[-1]
        y = self.conv(features, 3, padding=(1, 1), name='conv_0')(x)
        y = self.norm(relu=True, name='norm_0')(y, *gamma_beta)
        y = self.conv(features, 3, padding=(1, 1), name='conv_1')(y)
        return x + self.norm(name='norm_1')(y, *gamma_beta), None  # a scan's carry and output


def pool_to(x: jax.Array, k: int) -> jax.Array:
    """Adaptive average pool of x [B, h, w, C] to [B, k, k, C]: cell i covers rows floor(i h/k) to ceil((i+1) h/k)."""

    def matrix(n: int) -> np.ndarray | jax.Array:
        if not isinstance(n, int):  # a symbol of jax.export
            i, row = jnp.arange(k)[:, None], jnp.arange(n)
            start, stop = i * n // k, -(-(i + 1) * n // k)
            return ((start <= row) & (row < stop)) / (stop - start)
        cells = np.zeros((k, n))
        for i in range(k):
            start, stop = i * n // k, -(-(i + 1) * n // k)
            cells[i, start:stop] = 1 / (stop - start)
        return cells

    return jnp.einsum('kh,lw,bhwc->bklc', matrix(x.shape[1]), matrix(x.shape[2]), x, precision='highest')


class Generator(nn.Module):
    """images [B, h, w, C] in [-1, 1], multiples of side_multiple -> GeneratorOutput; fields as in config/default.py."""

    out_channels: int
    ch: int
    n_res: int
    mlp_pool: int  # 0 flattens the map (full), k averages it to k x k (1: light)
    mlp_width: int
    instance_norm_affine: bool
    use_bias: bool
    cam_shared: bool
    cam_bias: bool
    rho_init: float
    rho_smoothing: float
    variance_ddof: int
    down_padding: Padding
    weight_init: str
    dtype: jnp.dtype = jnp.float32
    # without it colours reach the encoder: of a flat image instance norm leaves only the sign of their differences
    stem_norm: bool = True
    use_cam: bool = True  # without it the decoder sees the encoder's features as they are
    decoder_norm: str = 'adalin'
    up_norm: str = 'lin'
    norm_groups: int = 32  # of 'gn'
    separable: bool = False  # all convolutions but the first and the last: depthwise, then 1x1 (models/ops/depthwise.py)
    n_down: int = 2  # halvings of the sides before the residual blocks
    stem_kernel: int = 7  # of the first and the last convolution
    pixel_unshuffle: int = 1  # r: the layers see images of 1/r of the sides, each position with the values of r x r pixels
    image_skip: bool = False  # the last convolution sees the image, too: its colours and lines need not go through the norms
    unroll: int = 1  # residual blocks in one turn of their loop: 1 compiles fastest, n_res has no loop

    @property
    def side_multiple(self) -> int:
        """What the sides of an image are a multiple of."""
        return side_multiple(self.n_down, self.pixel_unshuffle)

    @nn.compact
    def __call__(self, x: jax.Array) -> GeneratorOutput:
        fields = dict(use_bias=self.use_bias, weight_init=self.weight_init, dtype=self.dtype)
        outer = partial(Conv, kernel_size=self.stem_kernel, padding=(self.stem_kernel // 2,) * 2, **fields)
        conv = partial(SeparableConv if self.separable else Conv, **fields)
        up_conv = partial(SeparableUpConv if self.separable else UpConv, **fields)
        norm = partial(InstanceNorm, self.instance_norm_affine)

        image = x = pixel_unshuffle(x, self.pixel_unshuffle)
        x = outer(self.ch, name='stem')(x)
        x = norm(relu=True, name='stem_norm')(x) if self.stem_norm else nn.relu(x)
        for i in range(self.n_down):
            x = conv(self.ch * 2 ** (i + 1), 3, 2, self.down_padding, name=f'down_{i}')(x)
            x = norm(relu=True, name=f'down_norm_{i}')(x)
        x = self.residual_blocks('encoder', conv, norm, x)

        cam_logit = heatmap = None
        if self.use_cam:
            cam = CAM(nn.relu, self.cam_shared, self.cam_bias, self.weight_init, self.dtype, name='cam')
            x, cam_logit, heatmap = cam(x)

        gamma, beta = feature_statistics(x) if self.decoder_norm == 'adain' else self.gamma_beta(x)
        norm = decoder_norm(self.decoder_norm, self.norm_groups, self.rho_init, self.rho_smoothing, self.variance_ddof)
        x = self.residual_blocks('decoder', conv, norm, x, gamma, beta)
        norm = up_norm(self.up_norm, self.norm_groups, self.variance_ddof)
        for i in range(self.n_down):
            x = up_conv(self.ch * 2 ** (self.n_down - 1 - i), name=f'up_{i}')(x)
            x = norm(relu=True, name=f'up_norm_{i}')(x)
        if self.image_skip:
            x = jnp.concatenate([x, image.astype(x.dtype)], axis=-1)
        x = outer(self.out_channels * self.pixel_unshuffle**2, name='head')(x)
        x = pixel_shuffle(jnp.tanh(x.astype(jnp.promote_types(self.dtype, jnp.float32))), self.pixel_unshuffle)
        return GeneratorOutput(x, cam_logit, heatmap)

    def residual_blocks(
        self, name: str, conv: Callable[..., nn.Module], norm: Callable[..., nn.Module], x: jax.Array, *gamma_beta: jax.Array
    ) -> jax.Array:
        """n_res blocks on x [B, h, w, C] as one scan; their parameters are stacked, [n_res, ...]."""
        if not self.n_res:
            return x
        blocks = nn.scan(
            ResidualBlock,
            variable_axes={'params': 0},
            split_rngs={'params': True},
            in_axes=nn.broadcast,
            length=self.n_res,
            unroll=self.unroll,
        )
        return blocks(conv, norm, name=name)(x, *gamma_beta)[0]

    def gamma_beta(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The MLP on the attended map x [B, h, w, C] -> gamma, beta [B, C], at least float32."""
        dense = dict(use_bias=self.use_bias, weight_init=self.weight_init)
        channels = x.shape[-1]
        x = x.astype(jnp.promote_types(self.dtype, jnp.float32))
        if self.mlp_pool == 1:
            x = jnp.mean(x, axis=(1, 2))
        else:
            x = x if self.mlp_pool == 0 else pool_to(x, self.mlp_pool)
            x = x.reshape(x.shape[0], -1)  # rows, columns, channels
        for i in range(2):
            x = nn.relu(Dense(self.mlp_width, name=f'mlp_{i}', **dense)(x))
        # heads as wide as the map: the TensorFlow release takes ch * n_res, which is equal at its n_res of 4 only
        return tuple(Dense(channels, name=name, **dense)(x) for name in ('gamma', 'beta'))
