"""Reads checkpoints of the TensorFlow release: weights, Adam's moments and the number of steps."""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from ugatit_jax.common.errors import UserError, short_line

SLOTS = {'/Adam': 'mu', '/Adam_1': 'nu'}  # TensorFlow's names of a variable's Adam moments
# Adam's running products beta * beta * ...: of the generators' optimizer, which the release makes first, then the other's
POWERS = ('beta1_power', 'beta2_power', 'beta1_power_1', 'beta2_power_1')
BETA2 = np.float32(0.999)  # fixed in the release
MIN_POWER = 1e-30  # a smaller product is near float32's 1e-38, where it loses digits and is flushed to 0


class TensorFlowFile(NamedTuple):
    """A checkpoint: arrays by the release's names of variables."""

    prefix: str  # of its files
    weights: dict[str, np.ndarray]
    mu: dict[str, np.ndarray]  # Adam's first and second moments; {} where it was saved without optimizers
    nu: dict[str, np.ndarray]
    step: int  # discriminator updates
    counts: tuple[int, int]  # Adam's updates of generators and discriminators
    smoothing: bool  # the release's option: as its folder's name says, or its default where that is another name


def load(path: str) -> TensorFlowFile:
    """Reads a checkpoint from its prefix, one of its files, or a folder, of which the newest; raises UserError.

    Needs tensorflow.
    """
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UserError(f'{path}: reading a TensorFlow checkpoint needs tensorflow: pip install tensorflow') from error
    prefix = find_prefix(path)
    try:
        reader = tf.train.load_checkpoint(prefix)
        variables = {name: reader.get_tensor(name) for name in sorted(reader.get_variable_to_shape_map())}
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:  # LookupError: fewer bytes than it says
        raise UserError(f'{prefix} is truncated or damaged, or not of TensorFlow: {short_line(error)}') from error
    powers = {name: variables.pop(name) for name in POWERS if name in variables}
    parts: dict[str, dict[str, np.ndarray]] = {'weights': {}, 'mu': {}, 'nu': {}}
    for name, value in variables.items():
        suffix = next((suffix for suffix in SLOTS if name.endswith(suffix)), '')
        parts[SLOTS.get(suffix, 'weights')][name.removesuffix(suffix)] = value
    counts = [adam_updates(powers[name]) if name in powers else None for name in ('beta2_power', 'beta2_power_1')]
    number = re.search(r'-(\d+)$', prefix)
    # the release counts steps from 1 and saves after counting
    step = max(int(number[1]) - 1, 0) if number else counts[1]
    if parts['mu'] and step is None:
        raise UserError(f"{prefix} has Adam's moments but no number of steps; rename its files to NAME-STEP.*")
    folder = pathlib.Path(prefix).resolve().parent.name
    named = re.search(r'\dresblock_\ddis_', folder)  # UGATIT_light_NAME_lsgan_4resblock_6dis_..., as the release makes it
    return TensorFlowFile(
        prefix,
        **parts,
        step=step or 0,
        counts=tuple(step or 0 if n is None else n for n in counts),
        smoothing=folder.endswith('_smoothing') if named else True,
    )


def find_prefix(path: str) -> str:
    """PREFIX of the files PREFIX.index and PREFIX.data-*, given it, one of them, or their folder; raises UserError."""
    if not os.path.isdir(path):
        return re.sub(r'\.(index|meta|data-\d+-of-\d+)$', '', path)
    found = sorted(file.name.removesuffix('.index') for file in pathlib.Path(path).glob('*.index'))
    newest = None
    listing = pathlib.Path(path, 'checkpoint')  # names the newest, often by its path on another machine
    if listing.is_file():
        line = re.search(r'^model_checkpoint_path: "(.+)"', listing.read_text(errors='replace'), re.MULTILINE)
        newest = line and re.split(r'[/\\]', line[1])[-1]
    if newest in found:
        return os.path.join(path, newest)
    if len(found) != 1:
        if not found:
            raise UserError(f'{path} is neither a workdir with checkpoints/ nor a TensorFlow checkpoint with an .index')
        raise UserError(
            f'{path} has {len(found)} checkpoints ({", ".join(found)}) and does not say which is the newest; name one'
        )
    return os.path.join(path, found[0])


def adam_updates(power: np.ndarray) -> int | None:
    """Adam's number of updates from its beta2_power, beta2^(updates + 1); None where that is too small to tell."""
    if power < MIN_POWER:
        return None
    value, count = BETA2, 0
    while value > power:  # multiplied as TensorFlow does, so that it is rounded as there
        value, count = value * BETA2, count + 1
    return count
