"""InceptionV3's weights: a file that was named, or the published one, downloaded once into the user's cache folder."""

import hashlib
import logging
import pathlib
import urllib.request
from typing import NamedTuple

import numpy as np

from ugatit_jax.checkpoint import torch_file
from ugatit_jax.errors import UserError, named_line
from ugatit_jax.evaluate import inception
from ugatit_jax.files import atomic_file, cache_folder

logger = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without a byte


class Published(NamedTuple):
    """A file that can be downloaded, and how to know it."""

    name: str
    urls: tuple[str, ...]  # mirrors of each other
    sha256: str
    size: int  # bytes


INCEPTION = Published(
    'pt_inception-2015-12-05-6726825d.pth',
    (
        'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth',
        'https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth',
    ),
    '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2',
    95_628_359,
)


class Weights(NamedTuple):
    """The network's parameters and where they are from."""

    params: inception.Params
    path: str
    sha256: str

    @property
    def published(self) -> bool:
        """Whether numbers made with them can be compared with others'."""
        return self.sha256 == INCEPTION.sha256


def cached_path(published: Published = INCEPTION) -> pathlib.Path:
    """Where the downloaded file is kept."""
    return cache_folder() / published.name


def load_weights(path: str = '') -> Weights:
    """The weights in a file, or the published ones, downloaded if they are not in the cache folder yet.

    Raises UserError for a file that is damaged or of another network, and where nothing can be downloaded.
    """
    path = path or str(fetch(INCEPTION))
    params = network_of(torch_file.load(path), path)
    with open(path, 'rb') as file:
        return Weights(params, path, hashlib.file_digest(file, 'sha256').hexdigest())


def network_of(tree: object, path: str) -> inception.Params:
    """Parameters from the state dict of a file; raises UserError where it is not the network's."""
    norms = ('weight', 'bias', 'running_mean', 'running_var')
    shapes = {}
    for name, shape in inception.kernel_shapes().items():
        shapes |= {f'{name}.conv.weight': shape} | {f'{name}.bn.{part}': shape[:1] for part in norms}
    # not used, but torchvision's classification network of the same names has 1000 classes
    shapes['fc.weight'] = (inception.CLASSES, inception.FEATURES)

    arrays = tree if isinstance(tree, dict) else {}
    for name, shape in shapes.items():
        value = arrays.get(name)
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != 'f':
            found = f'{value.dtype} {value.shape}' if isinstance(value, np.ndarray) else 'not there'
            raise UserError(
                f'{path} is not the InceptionV3 of KID and FID: {name} is {found} instead of {shape}; it has to be '
                f'{INCEPTION.name} from {INCEPTION.urls[0]}'
            )
        if not np.isfinite(value).all():
            raise UserError(f'{path}: {name} has values that are not finite; download it again')
    return {
        name: inception.fold(arrays[f'{name}.conv.weight'], *(arrays[f'{name}.bn.{part}'] for part in norms))
        for name in inception.kernel_shapes()
    }


def fetch(published: Published) -> pathlib.Path:
    """The file in the cache folder, from the first mirror that gives it whole; raises UserError."""
    path = cached_path(published)
    if path.exists():
        return path
    failures = []
    for url in published.urls:
        logger.info('downloading %s (%.0f MB) to %s', url, published.size / 1e6, path)
        try:
            download(url, path, published)
            return path
        except (OSError, ValueError) as error:
            failures.append(named_line(error))
    raise UserError(
        f'the weights of InceptionV3 are missing and cannot be downloaded ({"; ".join(failures)}): put the file of '
        f'{" or ".join(published.urls)} (sha256 {published.sha256}) at {path}, or name it by --inception_weights '
        '(evaluation.inception_weights of a config)'
    )


def download(url: str, path: pathlib.Path, published: Published) -> None:
    """Downloads beside `path` and renames when all bytes are there and right, so that a file there is always whole."""
    digest, size = hashlib.sha256(), 0
    with atomic_file(str(path)) as partial:
        with open(partial, 'wb') as file, urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            while chunk := response.read(1 << 20):
                size += len(chunk)
                if size > published.size:
                    raise ValueError(f'has more than {published.size} bytes')
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != published.sha256:
            raise ValueError(f'{size} bytes with sha256 {digest.hexdigest()}, which is another file')
