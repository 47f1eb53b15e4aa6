"""One direction of translation over many images: fakes, reconstructions, identities, and their L1 and PSNR."""

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from ugatit_jax.common import sharding
from ugatit_jax.common.images import to_rgb
from ugatit_jax.evaluate.image_errors import l1, psnr
from ugatit_jax.models.forward import compiled_generator
from ugatit_jax.models.generator import GeneratorOutput
from ugatit_jax.models.names import generator_of, reverse_of
from ugatit_jax.models.networks import Networks


class DirectionOutputs(NamedTuple):
    """What the generators make of n real images of one domain; images are uint8 [n, h, w, 3], as they would be saved."""

    real: np.ndarray
    fake: np.ndarray  # real, translated
    rec: np.ndarray  # fake, translated back
    heatmap: np.ndarray | None  # float32 [n, h/4, w/4], of the translation; None for a generator without CAM
    metrics: dict[str, np.ndarray]  # cycle_l1, cycle_psnr: [n]; identity_l1, identity_psnr: [m], of the target's images


def run_direction(
    networks: Networks,
    generator: dict[str, Any],
    direction: str,
    real: Iterable[np.ndarray],
    target: Iterable[np.ndarray],
    mesh: jax.sharding.Mesh,
    batch_size: int,
) -> DirectionOutputs:
    """Translates real images by `direction` ('A2B', 'B2A') and back, and the target's images by the same generator.

    real, target: batches of at most batch_size images, float32 [b, h, w, C] in [-1, 1]; no target batches where the
    generator cannot take its own target domain. generator: parameters of genA2B and genB2A.
    """

    def run(name: str, images: np.ndarray) -> GeneratorOutput:
        apply = functools.partial(compiled_generator(networks.module(name), mesh), generator[name])
        return next(sharding.map_batches(apply, images, batch_size, mesh))

    there, back = generator_of(direction), generator_of(reverse_of(direction))
    chunks: dict[str, list[np.ndarray]] = {}

    def append(**values: np.ndarray) -> None:
        for name, value in values.items():
            chunks.setdefault(name, []).append(value)

    for images in real:
        out = run(there, images)
        rec = run(back, out.image).image
        append(
            real=to_rgb(images),
            fake=to_rgb(out.image),
            rec=to_rgb(rec),
            cycle_l1=l1(images, rec),
            cycle_psnr=psnr(images, rec),
            **({} if out.heatmap is None else {'heatmap': out.heatmap}),
        )
    for images in target:
        idt = run(there, images).image
        append(identity_l1=l1(images, idt), identity_psnr=psnr(images, idt))
    arrays = {name: np.concatenate(values) for name, values in chunks.items()}
    images = [arrays.pop(name, None) for name in ('real', 'fake', 'rec', 'heatmap')]
    return DirectionOutputs(*images, metrics=arrays)
