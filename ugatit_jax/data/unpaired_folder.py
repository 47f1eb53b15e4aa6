"""Folders of images as a data set of TensorFlow Datasets, for data/prepare.py to write."""

import contextlib
import io
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from ugatit_jax.common.errors import printable
from ugatit_jax.common.progress import track
from ugatit_jax.data.sources.prepared import BUILDER_NAME, VERSION


class UnpairedFolder(tfds.core.GeneratorBasedBuilder):
    """An unpaired image-to-image data set made from folders named trainA, trainB, testA, testB."""

    name = BUILDER_NAME
    VERSION = tfds.core.Version(VERSION)

    def __init__(self, *, folders: dict[str, tuple[str, list[str]]], **kwargs):
        """`folders` maps a split to its folder and to the names of the images in it."""
        self._folders = folders
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict(
            {
                'image': tfds.features.Tensor(shape=(), dtype=np.object_),  # Image would refuse WebP, TIFF, .npy and others
                'name': tfds.features.Text(),
            }
        )
        # without shuffling the order is the folder's, and so are the batches of a run
        return tfds.core.DatasetInfo(
            builder=self,
            features=features,
            disable_shuffling=True,
            description='Encoded, unpaired images of two domains.',
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        del dl_manager  # nothing is downloaded
        return {split: self._generate_examples(*place) for split, place in self._folders.items()}

    def _generate_examples(self, root: str, keys: list[str]) -> Iterator[tuple[int, dict]]:
        for i, key in enumerate(track(keys, f'writing {root}', len(keys))):
            yield i, {'image': (epath.Path(root) / key).read_bytes(), 'name': printable(key)}


def write_shards(folders: dict[str, tuple[str, list[str]]], place: str) -> None:
    """Writes the images of {split: (folder, names)} as ArrayRecord shards below `place`; raises OSError."""
    builder = UnpairedFolder(folders=folders, data_dir=place, file_format='array_record')
    # TFDS prints of downloads, sizes and a temporary folder; `track` shows what matters
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(compute_stats='skip'))
