"""One direction of translation over many images: what the generators make, and how far it is from where it began."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn

from ugatit_jax import sharding
from ugatit_jax.evaluate.image_errors import l1, psnr
from ugatit_jax.images import to_rgb
from ugatit_jax.models import GeneratorOutput
from ugatit_jax.models.networks import Networks
from ugatit_jax.training.state import Params


class Translation(NamedTuple):
    """n images there and back; images are uint8 [n, h, w, 3], as they would be saved."""

    real: np.ndarray
    fake: np.ndarray
    rec: np.ndarray
    heatmap: np.ndarray | None  # [n, h/4, w/4] of the translation; None for a generator without CAM
    metrics: dict[str, np.ndarray]  # cycle_l1, cycle_psnr: [n]; identity_l1, identity_psnr: [m], of the target's images


@functools.cache
def forward(module: nn.Module, mesh: jax.sharding.Mesh) -> Callable[[Params, jax.Array], GeneratorOutput]:
    """A compiled generator, (params, images dealt over the mesh) -> GeneratorOutput on every device."""
    return jax.jit(lambda params, images: module.apply({'params': params}, images), out_shardings=sharding.replicated(mesh))


def translate(
    networks: Networks,
    generator: Params,
    direction: str,
    real: Iterable[np.ndarray],
    target: Iterable[np.ndarray],
    mesh: jax.sharding.Mesh,
    batch_size: int,
) -> Translation:
    """Runs `direction` ('A2B', 'B2A') on real images, back again, and on those of its target for the identity.

    real, target: batches of at most batch_size images, float32 [b, h, w, C] in [-1, 1]; target is empty where the
    generator cannot take its own domain.
    """

    def run(name: str, images: np.ndarray) -> GeneratorOutput:
        apply = functools.partial(forward(networks.module(name), mesh), generator[name])
        return next(sharding.map_batches(apply, images, batch_size, mesh))

    there, back = f'gen{direction}', f'gen{direction[::-1]}'
    parts: dict[str, list[Any]] = {}

    def keep(**values: np.ndarray) -> None:
        for name, value in values.items():
            parts.setdefault(name, []).append(value)

    for images in real:
        out = run(there, images)
        rec = run(back, out.image).image
        keep(
            real=to_rgb(images),
            fake=to_rgb(out.image),
            rec=to_rgb(rec),
            cycle_l1=l1(images, rec),
            cycle_psnr=psnr(images, rec),
            **({} if out.heatmap is None else {'heatmap': out.heatmap}),
        )
    for images in target:
        idt = run(there, images).image
        keep(identity_l1=l1(images, idt), identity_psnr=psnr(images, idt))
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    images = [whole.pop(name, None) for name in ('real', 'fake', 'rec', 'heatmap')]
    return Translation(*images, metrics=whole)
