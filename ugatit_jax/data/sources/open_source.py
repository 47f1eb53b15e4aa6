"""Which source `data.source` names. A new kind of source is a file beside this one and a branch in `open_source`."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.config.derived import load_size
from ugatit_jax.data.sources.emoji import Emoji
from ugatit_jax.data.sources.folder import FolderSource, split_folder
from ugatit_jax.data.sources.prepared import PreparedSource
from ugatit_jax.data.sources.splits import MissingSplit
from ugatit_jax.data.sources.synthetic import Synthetic
from ugatit_jax.data.sources.tfds import open_tfds

KINDS = 'folder:PATH, tfds:NAME[/CONFIG], prepared:PATH, emoji or synthetic:faces'


class Source(Protocol):
    """The images of one domain and split, with random access."""

    name: str  # for messages: kind, place and split
    keys: Sequence[str]  # relative names, in order

    def __len__(self) -> int: ...

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed: the key of a cache on disk."""


class Selected:
    """Some images of a source, in the given order."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self.name = source.name
        self.source, self.indices = source, list(indices)
        self.keys = [source.keys[i] for i in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, i: int) -> np.ndarray:
        """Image i of the selection as uint8 [H, W, channels], or DecodeError."""
        return self.source.read(self.indices[i])

    def fingerprint(self) -> str:
        """Changes with the source and with the selection."""
        return hashlib.sha256(repr((self.source.fingerprint(), self.indices)).encode()).hexdigest()


def open_source(config: ConfigDict, domain: str, split: str, missing_ok: bool = False) -> Source | None:
    """The images of a domain ('A', 'B') and split ('train', 'test') as they are stored, unscanned.

    `domain` is the model's: `data.swap` exchanges the two on disk. Raises UserError where the source cannot be opened;
    for a split that does not exist returns None instead if `missing_ok`.
    """
    data = config.data
    kind, _, place = data.source.partition(':')
    channels = data[f'channels_{domain}']
    side = load_size(config) if split == 'train' else data.image_size
    stored = domain if not data.swap else {'A': 'B', 'B': 'A'}[domain]
    if kind == 'synthetic':
        return Synthetic(stored, split, side, channels, place)
    if data.source == 'emoji':
        return Emoji(stored, split, data.image_size, channels, tuple(data.background))
    if kind not in ('folder', 'tfds', 'prepared') or not place:
        raise UserError(f'data.source={data.source!r} is not one of {KINDS}')
    # twice the side: the JPEG library's own reduction is coarse, so the last factor of two is left to Pillow's resize.
    # Test images are never reduced: numbers of an evaluation do not depend on it
    draft_side = 2 * side if split == 'train' else 0
    decoding = {'channels': channels, 'background': tuple(data.background), 'draft_side': draft_side}
    try:
        if kind == 'folder':
            return FolderSource(split_folder(place, split + stored), **decoding)
        if kind == 'prepared':
            return PreparedSource(place, split + stored, **decoding)
        fields = {name: data[name] for name in ('data_dir', 'download', 'head_margin')}
        return open_tfds(place, stored, split, **fields, **decoding)
    except MissingSplit:
        if missing_ok:
            return None
        raise
    except UserError:
        raise
    except ImportError as error:
        raise UserError(f'data.source={data.source} needs {error.name}, which cannot be imported: pip install it') from error
    except Exception as error:
        if '://' not in place:
            raise
        # remote file systems raise what their libraries do: unknown schemes, no network, no permission
        raise UserError(f'data.source={data.source} cannot be opened: {named_line(error)}') from error
