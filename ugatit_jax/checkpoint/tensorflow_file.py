"""Reads the TensorFlow release's checkpoints: weights, Adam's slots, and how far the run was."""

import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from ugatit_jax.errors import UserError, first_line

SLOTS = {'/Adam': 'means', '/Adam_1': 'squares'}  # how TensorFlow names Adam's two averages of a variable
POWERS = ('beta1_power', 'beta2_power', 'beta1_power_1', 'beta2_power_1')  # generators' optimiser was made first
BETA2 = np.float32(0.999)  # fixed in the release
SMALLEST = 1e-30  # a product below it has lost digits, or was flushed to 0


class TensorFlowFile(NamedTuple):
    """A checkpoint's variables by their names."""

    prefix: str
    weights: dict[str, np.ndarray]
    means: dict[str, np.ndarray]  # {} where it was saved without optimisers
    squares: dict[str, np.ndarray]
    step: int  # discriminator updates
    counts: tuple[int, int]  # updates of generators, discriminators
    smoothing: bool  # whether the folder's name, where it is the release's, says so; else the release's default


def load(path: str) -> TensorFlowFile:
    """Variables of the checkpoint at a prefix, one of its files, or the newest in a folder; raises UserError."""
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
        raise UserError(f'{prefix} is truncated or damaged, or not of TensorFlow: {first_line(error)}') from error
    powers = {name: variables.pop(name) for name in POWERS if name in variables}
    parts: dict[str, dict[str, np.ndarray]] = {'weights': {}, 'means': {}, 'squares': {}}
    for name, value in variables.items():
        suffix = next((suffix for suffix in SLOTS if name.endswith(suffix)), '')
        parts[SLOTS.get(suffix, 'weights')][name.removesuffix(suffix)] = value
    counts = [updates(powers[name]) if name in powers else None for name in ('beta2_power', 'beta2_power_1')]
    number = re.search(r'-(\d+)$', prefix)
    # the release counts from 1, and writes its count after the step
    step = max(int(number[1]) - 1, 0) if number else counts[1]
    if parts['means'] and step is None:
        raise UserError(f'{prefix}: nothing says after how many steps it was saved; name its files NAME-STEP.*')
    folder = pathlib.Path(prefix).resolve().parent.name
    named = re.search(r'\dresblock_\ddis_', folder)
    return TensorFlowFile(
        prefix,
        **parts,
        step=step or 0,
        counts=tuple(step or 0 if n is None else n for n in counts),
        smoothing=folder.endswith('_smoothing') if named else True,
    )


def find_prefix(path: str) -> str:
    """PATH of PATH.index and PATH.data-*, from a prefix, one of these files, or a folder; raises UserError."""
    if not os.path.isdir(path):
        return re.sub(r'\.(index|meta|data-\d+-of-\d+)$', '', path)
    found = sorted(file.name.removesuffix('.index') for file in pathlib.Path(path).glob('*.index'))
    newest = None
    listing = pathlib.Path(path, 'checkpoint')  # often has the path of the machine that wrote it
    if listing.is_file():
        line = re.search(r'^model_checkpoint_path: "(.+)"', listing.read_text(errors='replace'), re.MULTILINE)
        newest = line and re.split(r'[/\\]', line[1])[-1]
    if newest in found:
        return os.path.join(path, newest)
    if len(found) != 1:
        if not found:
            raise UserError(f'{path} is neither a workdir with checkpoints/ nor a TensorFlow checkpoint with an .index')
        raise UserError(f'{path} has {len(found)} checkpoints ({", ".join(found)}) and none marked the newest; name one')
    return os.path.join(path, found[0])


def updates(power: np.ndarray) -> int | None:
    """Adam's updates when its running product beta2 * beta2 * ... is `power`; None where that is too small to tell."""
    if power < SMALLEST:
        return None
    value, count = BETA2, 0
    while value > power:  # the product as TensorFlow makes it, rounding and all
        value, count = value * BETA2, count + 1
    return count
