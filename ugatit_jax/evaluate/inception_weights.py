"""The weights of InceptionV3: from a named file, or the published one, downloaded once into the user's cache folder."""

import hashlib
import logging
import pathlib
import urllib.request
from typing import NamedTuple

import numpy as np

from ugatit_jax.checkpoint import torch_file
from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.common.files import atomic_file, cache_folder
from ugatit_jax.evaluate import inception

logger = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without a byte
CHUNK = 2**20  # bytes read at a time; small against memory, large against the overhead of a read


class PublishedFile(NamedTuple):
    """A file that can be downloaded, and its checksum."""

    name: str
    urls: tuple[str, ...]  # mirrors of each other
    sha256: str
    size: int  # bytes


PUBLISHED = PublishedFile(
    'pt_inception-2015-12-05-6726825d.pth',
    (
        'https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth',
        'https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth',
    ),
    '6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2',
    95_628_359,
)


class InceptionWeights(NamedTuple):
    """The network's parameters and the file they were read from."""

    params: inception.Params
    path: str
    sha256: str

    @property
    def published(self) -> bool:
        """Whether they are the published ones, so that KID and FID are comparable with others'."""
        return self.sha256 == PUBLISHED.sha256


def cached_path(file: PublishedFile = PUBLISHED) -> pathlib.Path:
    """Where the downloaded file is kept."""
    return cache_folder() / file.name


def load_weights(path: str = '') -> InceptionWeights:
    """The weights in a file; by default the published ones, downloaded unless they are in the cache folder.

    Raises UserError for a file that is damaged or of another network, and where every download fails.
    """
    path = path or str(cached_or_downloaded(PUBLISHED))
    params = params_from_state_dict(torch_file.load(path), path)
    with open(path, 'rb') as file:
        return InceptionWeights(params, path, hashlib.file_digest(file, 'sha256').hexdigest())


def find_inception(path: str) -> tuple[InceptionWeights | None, str]:
    """(weights, '') as `load_weights`, or (None, why there are none): path is 'none', or is not given and no download works.

    Raises UserError for a named file that cannot be read.
    """
    if path == 'none':
        return None, 'no KID and FID: inception_weights is none'
    try:
        return load_weights(path), ''
    except UserError as error:
        if path:
            raise
        return None, f'no KID and FID: {error}'


def params_from_state_dict(state_dict: object, path: str) -> inception.Params:
    """The network's parameters from the state dict of a file; raises UserError where it is another network's."""
    norms = ('weight', 'bias', 'running_mean', 'running_var')
    shapes = {}
    for name, shape in inception.kernel_shapes().items():
        shapes |= {f'{name}.conv.weight': shape} | {f'{name}.bn.{part}': shape[:1] for part in norms}
    # unused, but torchvision's classification network has the same names with 1000 classes
    shapes['fc.weight'] = (inception.CLASSES, inception.FEATURES)

    arrays = state_dict if isinstance(state_dict, dict) else {}
    for name, shape in shapes.items():
        value = arrays.get(name)
        if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype.kind != 'f':
            found = f'{value.dtype} {value.shape}' if isinstance(value, np.ndarray) else 'missing'
            raise UserError(
                f'{path} is not the InceptionV3 of KID and FID: {name} is {found} instead of {shape}; it has to be '
                f'{PUBLISHED.name} from {PUBLISHED.urls[0]}'
            )
        if not np.isfinite(value).all():
            raise UserError(f'{path}: {name} has values that are not finite; download it again')
    return {
        name: inception.fold_batch_norm(arrays[f'{name}.conv.weight'], *(arrays[f'{name}.bn.{part}'] for part in norms))
        for name in inception.kernel_shapes()
    }


def cached_or_downloaded(file: PublishedFile) -> pathlib.Path:
    """The file in the cache folder, downloaded from the first mirror that works if it is not there; raises UserError."""
    path = cached_path(file)
    if path.exists():
        return path
    failures = []
    for url in file.urls:
        logger.info('downloading %s (%.0f MB) to %s', url, file.size / 1e6, path)
        try:
            download(url, path, file)
            return path
        except (OSError, ValueError) as error:
            failures.append(named_line(error))
    raise UserError(
        f'the weights of InceptionV3 are missing and cannot be downloaded ({"; ".join(failures)}): put the file of '
        f'{" or ".join(file.urls)} (sha256 {file.sha256}) at {path}, or name it by --inception_weights '
        '(evaluation.inception_weights of a config)'
    )


def download(url: str, path: pathlib.Path, file: PublishedFile) -> None:
    """Atomic download: `path` exists only once size and checksum are right; raises OSError or ValueError."""
    digest, size = hashlib.sha256(), 0
    with atomic_file(str(path)) as partial:
        with open(partial, 'wb') as output, urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            while chunk := response.read(CHUNK):
                size += len(chunk)
                if size > file.size:
                    raise ValueError(f'has more than {file.size} bytes')
                digest.update(chunk)
                output.write(chunk)
        if digest.hexdigest() != file.sha256:
            raise ValueError(f'{size} bytes with sha256 {digest.hexdigest()}, which is another file')
