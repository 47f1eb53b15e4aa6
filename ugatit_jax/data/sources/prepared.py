"""Reads the ArrayRecord shards that ugatit_jax/data/prepare.py makes of a folder, without listing images."""

import hashlib

import numpy as np
from etils import epath

from ugatit_jax.data.decode import decode
from ugatit_jax.data.sources.splits import MissingSplit
from ugatit_jax.errors import UserError
from ugatit_jax.files import prepare_bucket

BUILDER_NAME = 'unpaired_folder'
VERSION = '1.0.0'


class PreparedSource:
    """The images of one split, in the order of the folder that they came from."""

    def __init__(
        self,
        output: str,
        split: str,
        channels: int,
        background: tuple[int, int, int] = (255, 255, 255),
        draft_side: int = 0,
    ):
        import tensorflow_datasets as tfds  # here, not above: takes a second, and may not be installed

        prepare_bucket(output)
        directory = prepared_directory(output)
        if not (directory / 'dataset_info.json').exists():
            raise UserError(
                f'data.source=prepared:{output}: no prepared data set there ({directory} was looked for); make it '
                f'with python -m ugatit_jax.data.prepare --source=folder:PATH --output={output}'
            )
        builder = tfds.builder_from_directory(directory)
        if split not in builder.info.splits:
            raise MissingSplit(f'data.source=prepared:{output}: no {split} in it, it has {", ".join(builder.info.splits)}')
        self.name = f'prepared:{output}/{split}'
        self._records = builder.as_data_source(split=split)
        self.keys = [f'{split}[{i}]' for i in range(len(self._records))]  # real names would mean reading every record
        self._decoding = {'channels': channels, 'background': background, 'draft_side': draft_side}
        files = sorted((path.name, path.stat().length, path.stat().mtime) for path in directory.iterdir())
        self._fingerprint = hashlib.sha256(repr((self.name, self._decoding, files)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""
        return decode(bytes(self._records[i]['image']), **self._decoding)

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        return self._fingerprint


def prepared_directory(output: str) -> epath.Path:
    """Where the builder of prepare.py writes below the output folder."""
    return epath.Path(output) / BUILDER_NAME / VERSION
