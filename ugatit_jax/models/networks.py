"""The six networks from a resolved config."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from ugatit_jax.common.compiler import on_gpu
from ugatit_jax.models.discriminator import Discriminator
from ugatit_jax.models.generator import Generator
from ugatit_jax.models.names import GENERATORS, domain_of, reach_of, source_of
from ugatit_jax.models.spectral_norm import COLLECTION, select_group


class Networks(NamedTuple):
    """Modules without state: generators by direction, discriminators by reach (each serves both domains)."""

    genA2B: Generator
    genB2A: Generator
    disG: Discriminator
    disL: Discriminator

    def module(self, name: str) -> Generator | Discriminator:
        """The module of one of the six networks."""
        return getattr(self, name if name in GENERATORS else reach_of(name))


def make_networks(config: ConfigDict) -> Networks:
    """Networks of a resolved config (see ugatit_jax.config.resolve)."""
    m = config.model
    dtype = jnp.dtype(config.training.compute_dtype)
    # a loop over blocks compiles faster, but on a GPU slices weights and stacks activations (docs/performance-log.md)
    scan_blocks = not on_gpu() if config.training.scan_blocks is None else config.training.scan_blocks

    def generator(out_channels: int) -> Generator:
        return Generator(
            out_channels=out_channels,
            ch=m.ch,
            n_res=m.n_res,
            mlp_pool=0 if m.mlp_pool == 'full' else int(m.mlp_pool),
            mlp_width=m.mlp_width,
            instance_norm_affine=m.instance_norm_affine,
            use_bias=m.generator_bias,
            cam_shared=m.cam_shared,
            cam_bias=m.cam_bias,
            rho_init=m.rho_init,
            rho_smoothing=m.rho_smoothing,
            variance_ddof=m.variance_ddof,
            down_padding=m.down_padding,
            weight_init=m.weight_init,
            dtype=dtype,
            stem_norm=m.stem_norm,
            use_cam=m.generator_cam,
            decoder_norm=m.decoder_norm,
            up_norm=m.up_norm,
            norm_groups=m.norm_groups,
            separable=m.separable,
            n_down=m.n_down,
            stem_kernel=m.stem_kernel,
            pixel_unshuffle=m.pixel_unshuffle,
            image_skip=m.image_skip,
            unroll=1 if scan_blocks else max(m.n_res, 1),
        )

    def discriminator(n_layers: int) -> Discriminator:
        return Discriminator(
            ch=m.discriminator_ch or m.ch,
            n_layers=n_layers,
            patch_padding=m.patch_padding,
            head_bias=m.discriminator_head_bias,
            cam_shared=m.cam_shared,
            cam_bias=m.cam_bias,
            cam_attention_normalized=m.cam_attention_normalized,
            weight_init=m.weight_init,
            dtype=dtype,
            use_cam=m.discriminator_cam,
            spectral=m.spectral_norm,
        )

    return Networks(
        generator(config.data.channels_B),
        generator(config.data.channels_A),
        discriminator(m.n_layers_global),
        discriminator(m.n_layers_local),
    )


def network_shapes(networks: Networks, name: str, config: ConfigDict) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's parameters, u and v by path, 'ResBlocks/Conv_0/kernel'; computes nothing."""
    side, domain = config.data.image_size, source_of(name) if name in GENERATORS else domain_of(name)
    image = jax.ShapeDtypeStruct((1, side, side, config.data[f'channels_{domain}']), jnp.float32)
    variables = jax.eval_shape(lambda image: networks.module(name).init(jax.random.key(0), image), image)
    vectors = jax.eval_shape(select_group, variables.get(COLLECTION, {}))
    leaves = flatten_dict(variables['params'], sep='/') | flatten_dict(vectors, sep='/')
    return {path: leaf.shape for path, leaf in leaves.items()}
