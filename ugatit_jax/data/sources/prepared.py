"""Reads the ArrayRecord shards that ugatit_jax/data/prepare.py makes of a folder, without listing images."""

import hashlib
import json
from typing import Any

import numpy as np
from etils import epath

from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.common.files import prepare_bucket
from ugatit_jax.data.decode import DecodeError, decode
from ugatit_jax.data.sources.splits import MissingSplit

BUILDER_NAME = 'unpaired_folder'
VERSION = '1.0.0'
INFO = 'dataset_info.json'  # of TFDS; without it there is no data set
FEATURES = 'features.json'  # of TFDS
FEATURE_CLASSES = tuple(
    f'tensorflow_datasets.core.features.{name}'
    for name in ('features_dict.FeaturesDict', 'tensor_feature.Tensor', 'text_feature.Text')
)


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
        if not (directory / INFO).exists():
            raise UserError(
                f'data.source=prepared:{output}: no prepared data set there ({directory} was looked for); make it '
                f'with python -m ugatit_jax.data.prepare --source=folder:PATH --output={output}'
            )
        self.name = f'prepared:{output}/{split}'
        try:
            validate_features(directory / FEATURES)
            builder = tfds.builder_from_directory(directory)
            if split not in builder.info.splits:
                listed = ', '.join(builder.info.splits)
                raise MissingSplit(f'data.source=prepared:{output}: no {split} in it, it has {listed}')
            self._records = builder.as_data_source(split=split)
            files = sorted((path.name, path.stat().length, path.stat().mtime) for path in directory.iterdir())
            if len(self._records) > sum(length for _, length, _ in files):
                raise ValueError(f'{len(self._records)} images of {split}, more than its files have bytes')
        except UserError:
            raise
        except Exception as error:  # TFDS raises whatever its parsers met
            raise UserError(
                f'data.source=prepared:{output}: {directory} is damaged, or not of ugatit_jax.data.prepare '
                f'({named_line(error)}); make it again'
            ) from error
        self.keys = [f'{split}[{i}]' for i in range(len(self._records))]  # real names would mean reading every record
        self._decoding = {'channels': channels, 'background': background, 'draft_side': draft_side}
        self._fingerprint = hashlib.sha256(repr((self.name, self._decoding, files)).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, i: int) -> np.ndarray:
        """Image i as uint8 [H, W, channels], or DecodeError."""
        try:
            data = bytes(self._records[i]['image'])
        except Exception as error:  # of ArrayRecord and TFDS, for a damaged record
            raise DecodeError(f'its record cannot be read: {named_line(error)}') from error
        return decode(data, **self._decoding)

    def fingerprint(self) -> str:
        """Changes when any pixel that `read` returns may have changed."""
        return self._fingerprint


def validate_features(path: epath.Path) -> None:
    """Raises ValueError for a file of features with other classes than ours: TFDS would import any module that it names."""
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> None:  # of every object, also where a key is there twice
        found.extend(value for _, value in pairs if isinstance(value, str))

    json.loads(path.read_text(encoding='utf-8'), object_pairs_hook=collect)
    for text in found:
        if '.' in text and text not in FEATURE_CLASSES:
            raise ValueError(f'{path.name} names {text[:80]!r}')


def prepared_directory(output: str) -> epath.Path:
    """Where the builder of prepare.py writes below the output folder."""
    return epath.Path(output) / BUILDER_NAME / VERSION
