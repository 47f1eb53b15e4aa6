"""Sizes of the networks in an official checkpoint: config fields from names and shapes, and whether all shapes agree.

Names say how deep the networks are, shapes say the rest. Every array is then compared with the shape that our network of
these sizes has, so that a checkpoint that is converted is complete and consistent.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.reference import reference_fields
from ugatit_jax.convert.official_layout import BLOCK, official_shape
from ugatit_jax.convert.official_names import MIN_SIDE, SIDE_MULTIPLE, Entry, OfficialNames
from ugatit_jax.models.discriminator import fits
from ugatit_jax.models.names import GENERATORS, reach_of
from ugatit_jax.models.networks import make_networks, network_shapes

REFERENCES = {'pytorch': 'pytorch', 'tensorflow': 'paper'}  # model.reference of a release
DEPTHS = {'n_layers_global': 7, 'n_layers_local': 5}  # the paper's; the PyTorch release builds no others
TRAINING_ONLY = ('rho_init', 'weight_init')  # fields of `model` that trained weights do not depend on
MAX_HINT_SIDE = 1024  # pixels that a hint names; deeper networks than these take are of a damaged file
IMAGE_SIZE = 256  # the releases' default, taken for light models, whose shapes do not tell
# numbers of residual blocks and discriminator layers, from the largest number in these names and what is added to it
BLOCK_NAMES = {'pytorch': (r'UpBlock1_(\d+)\.', 0), 'tensorflow': (r'adaptive_resblock(\d+)/', 1)}
LAYER_NAMES = {'pytorch': (r'model\.(\d+)\.bias$', 2), 'tensorflow': (r'conv_(\d+)/kernel$', 3)}
LAYER_STRIDE = {'pytorch': 3, 'tensorflow': 1}  # PyTorch counts padding, convolution and activation


def infer_settings(
    path: str, release: str, arrays: Mapping[str, Any], networks: list[str], image_size: int | None
) -> dict[str, Any]:
    """Config fields that follow from the names and shapes of arrays: {'model.ch': 64}.

    path: the file, for messages; image_size: of a light model. Raises UserError where an array that tells a size is missing
    or makes no sense.
    """
    names, first = OfficialNames(release, 0, {}, (0, 0)), networks[0]

    def channels(ours: str) -> tuple[int, int]:
        """(inputs, outputs) of a kernel of the first generator."""
        entry = next(entry for entry in names.table(first) if entry.ours == ours)
        name = names.prefix(first) + entry.official
        if name not in arrays:
            raise UserError(f'{path} lacks {name}; it is not of U-GAT-IT, or incomplete')
        shape = np.shape(arrays[name])
        if len(shape) not in (2, 4):
            raise UserError(f'{path}: {name} is {list(shape)}, which is no shape of a convolution or matrix')
        return (shape[1], shape[0]) if release == 'pytorch' else (shape[-2], shape[-1])

    def largest(network: str, pattern: str) -> int | None:
        """The largest number in the names of a network."""
        found = re.compile(re.escape(names.prefix(network)) + pattern)
        # 10 digits are above every number of arrays already, and thousands of them no int
        numbers = {name: int(match[1][:10]) for name in arrays if (match := found.match(name))}
        for name, number in numbers.items():
            if number > LAYER_STRIDE['pytorch'] * len(arrays):
                raise UserError(f'{path} has {name}, a depth that its {len(arrays)} arrays cannot make')
        return max(numbers.values(), default=None)

    (in_channels, ch), (_, out_channels) = channels('stem/kernel'), channels('head/kernel')
    inputs, mlp_width = channels('mlp_0/kernel')
    features = channels('cam/kernel')[1]
    full = inputs != features
    side = int(round((inputs / features) ** 0.5)) if features else 0
    if full and side * side * features != inputs:
        raise UserError(
            f'{path}: the first MLP matrix of {first} has {inputs} inputs, which are not {features} channels (of its CAM) '
            'on a square'
        )
    full_size = SIDE_MULTIPLE * side
    if full and image_size not in (None, full_size):
        raise UserError(f'{path} is a full model for {full_size} pixels, and --image_size={image_size}; leave that out')
    if image_size is not None and (image_size < MIN_SIDE or image_size % SIDE_MULTIPLE):
        raise UserError(f'--image_size={image_size}: it is a multiple of {SIDE_MULTIPLE} from {MIN_SIDE} on')
    image_size = full_size if full else image_size or IMAGE_SIZE

    pattern, offset = BLOCK_NAMES[release]
    number = largest(first, pattern)
    n_res = 0 if number is None else number + offset
    channels_A, channels_B = (in_channels, out_channels) if first == 'genA2B' else (out_channels, in_channels)
    settings = {
        'model.reference': REFERENCES[release],
        'model.ch': ch,
        'model.n_res': n_res,
        'model.mlp_pool': 'full' if full else '1',
        'data.image_size': image_size,
        'data.channels_A': channels_A,
        'data.channels_B': channels_B,
    }
    reference = reference_fields(REFERENCES[release], ch, n_res, image_size)['model']
    if mlp_width != reference['mlp_width']:
        settings['model.mlp_width'] = mlp_width
    if channels_A != channels_B:  # such networks cannot be trained with these losses
        settings |= {'loss.identity_weight': 0.0, 'loss.cam_weight': 0.0}
    for field, network in (('n_layers_global', 'disGA'), ('n_layers_local', 'disLA')):
        pattern, offset = LAYER_NAMES[release]
        number = largest(network, pattern)
        if number is not None:
            depth = number // LAYER_STRIDE[release] + offset
            sides = range(SIDE_MULTIPLE, MAX_HINT_SIDE + 1, SIDE_MULTIPLE)
            least = next((side for side in sides if fits(side, depth, reference['patch_padding'])), 0)
            if image_size < least and not full:
                raise UserError(
                    f'{path}: {network} has {depth} layers, which need images of {least} pixels or more, not {image_size}; '
                    f'hint: --image_size=N is the size that it was trained at ({IMAGE_SIZE} where it is left out)'
                )
        else:  # generators only: the usual depth, or the largest that fits the image
            usual = DEPTHS[field]
            depth = next((d for d in range(usual, 1, -1) if fits(image_size, d, reference['patch_padding'])), usual)
        settings[f'model.{field}'] = depth
    return settings


def validate_arrays(
    path: str, names: OfficialNames, config: ConfigDict, arrays: Mapping[str, Any], networks: Collection[str], what: str = ''
) -> None:
    """Raises UserError for the first array that is missing, not of the network, or has another shape than config's networks.

    path, what: for messages, the file and what the arrays are of the networks.
    """
    modules, m = make_networks(config), config.model
    for network in networks:
        prefix = names.prefix(network)
        present = {name for name in arrays if name.startswith(prefix)}
        expected = {prefix + entry.official: entry for entry in names.table(network)}
        missing, extra = sorted(expected.keys() - present), sorted(present - expected.keys())
        sizes = f'ch {m.ch}, n_res {m.n_res}' if network in GENERATORS else f'{names.n_layers[reach_of(network)]} layers'
        if missing:
            raise UserError(f'{path} lacks {what}{missing[0]} ({len(missing)} in all), which follows from {sizes}')
        if extra:
            raise UserError(f'{path} has {what}{extra[0]} ({len(extra)} in all), which {sizes} does not have')
        shapes = network_shapes(modules, network, config)
        for name, entry in expected.items():
            shape, wanted = np.shape(arrays[name]), official_shape(entry.layout, our_shape(shapes, entry))
            if shape != wanted:
                raise UserError(
                    f'{path}: {what}{name} is {list(shape)}, and has to be {list(wanted)} for ch {m.ch}, n_res {m.n_res}, '
                    f'{config.data.image_size} pixels, as other arrays say'
                )


def our_shape(shapes: Mapping[str, tuple[int, ...]], entry: Entry) -> tuple[int, ...]:
    """Shape of one of our arrays, given those of a network, where residual blocks are stacked."""
    block = BLOCK.fullmatch(entry.ours)
    return shapes[f'{block[1]}/{block[3]}'][1:] if block else shapes[entry.ours]
