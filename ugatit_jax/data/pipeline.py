"""Batches of step k, whatever happened before: index-based and stateless, so that nothing has to be saved to resume."""

import atexit
import collections
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError
from ugatit_jax.config.derived import draws_per_step, load_size
from ugatit_jax.data.cache import Images, cached_images
from ugatit_jax.data.shuffle import MAX_EXAMPLES, shuffled_index
from ugatit_jax.data.sources.open_source import Source

STREAMS = {'A': 0, 'B': 1}  # of shuffled_index: the domains are shuffled independently
PREFETCHED_BATCHES = 4  # made while a step runs: enough to bridge a few images that take long to decode
INDEX_CHUNK = 2048  # examples whose indices are computed at once: 2 us each, where a single one takes NumPy 2 ms

Batch = dict[str, np.ndarray]  # {'A': uint8 [b, load, load, channels_A], 'B': uint8 [b, load, load, channels_B]}


def train_batches(
    source_A: Source,
    source_B: Source,
    config: ConfigDict,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[Batch]:
    """Endless batches of this process from `start_step` on: {'A': uint8 [b, load, load, channels_A], 'B': ...}.

    b = batch_size * draws / process_count, and process p gets rows p * b to (p + 1) * b of the global batch, which is the
    same for a step wherever the run began. The domains may have unequal numbers of images. Where a step draws several times
    (`draws_per_step`), the draws of an example follow one another: [b / draws, draws] in one axis. Raises UserError where
    the batch does not divide over the processes, or without TensorFlow.
    """
    draws = draws_per_step(config)
    local = local_batch_size(config.data.batch_size, process_count) * draws
    sources = {'A': source_A, 'B': source_B}
    images = cached_images(sources, load_size(config), config)
    rows = process_index * local + np.arange(local)

    def indices(first_step: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        positions = (first_step + np.arange(steps))[:, None] * config.data.batch_size * draws + rows  # [steps, b]
        return tuple(global_indices(positions.reshape(-1), len(sources[domain]), config.seed, domain) for domain in 'AB')

    return run_pipeline(images, indices, local, start_step, config.data.workers or available_cores())


def global_indices(positions: np.ndarray, n: int, seed: int, domain: str) -> np.ndarray:
    """Indices (int64) of the images at `positions` (step * batch_size + row) of a run, in a domain of n images."""
    if positions.size and positions.max() >= MAX_EXAMPLES:
        raise UserError(
            f'example {positions.max():,} of a run: the order of images is defined below {MAX_EXAMPLES:,} = '
            'steps * batch_size'
        )
    return shuffled_index(positions, n, seed, STREAMS[domain]).astype(np.int64)


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def local_batch_size(batch_size: int, process_count: int) -> int:
    """Examples per process, or UserError if the batch does not divide."""
    if batch_size < 1 or batch_size % process_count:
        raise UserError(f'data.batch_size={batch_size} does not divide over {process_count} processes: choose a multiple')
    return batch_size // process_count


def prefetch(batches: Iterator[Batch], put: Callable[[Batch], Any], depth: int = 2) -> Iterator[Any]:
    """Yields put(batch), called `depth` batches ahead: asynchronous transfers overlap with the steps.

    By default two: one that is transferred while the step computes, and one in reserve for a late image.
    """
    queue = collections.deque()
    for batch in batches:
        queue.append(put(batch))
        if len(queue) > depth:
            yield queue.popleft()
    yield from queue


def run_pipeline(images: dict[str, Images], indices: Callable, local: int, start_step: int, workers: int) -> Iterator[Batch]:
    """Index, read in parallel, batch, prefetch: a tf.data pipeline, closed at the latest at the interpreter's exit.

    indices(first_step, steps) gives the images of both domains in `steps` batches of `local` rows.
    """
    try:
        import tensorflow as tf  # here, so that everything else of the data path works without it
    except ImportError as error:
        raise UserError(
            'reading images while training needs TensorFlow, which is not installed (pip install tensorflow-cpu); '
            'data.device_resident=True works without it'
        ) from error

    failures = []  # raised instead of the batch they belong to: TensorFlow would turn an exception into a page of text
    blank = tuple(np.zeros(images[domain].shape, np.uint8) for domain in 'AB')
    chunk_steps = max(1, INDEX_CHUNK // local)

    def example_indices(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return indices(start_step + int(chunk) * chunk_steps, chunk_steps)
        except UserError as error:
            failures.append(error)
            return (np.zeros(chunk_steps * local, np.int64),) * 2

    def example(i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            return images['A'][int(i)], images['B'][int(j)]
        except Exception as error:
            failures.append(error)
            return blank

    def load(i: Any, j: Any) -> dict[str, Any]:
        pair = tf.numpy_function(example, [i, j], (tf.uint8, tf.uint8), stateful=False)
        return {domain: tf.ensure_shape(x, images[domain].shape) for domain, x in zip('AB', pair, strict=True)}

    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    options.autotune.enabled = False  # one stage takes the time, and its number of threads is known
    dataset = (
        tf.data.Dataset.counter()
        .map(lambda chunk: tf.numpy_function(example_indices, [chunk], (tf.int64, tf.int64), stateful=False))
        .unbatch()
        .map(load, num_parallel_calls=workers, deterministic=True)
        .batch(local, drop_remainder=True)
        .prefetch(PREFETCHED_BATCHES)
        .with_options(options)
    )

    def batches() -> Iterator[Batch]:
        for batch in dataset.as_numpy_iterator():
            if failures:
                raise failures[0]
            yield batch

    generator = batches()
    # reader threads need the interpreter: a pipeline that outlives it would wait for it for ever
    reference = weakref.ref(generator)
    atexit.register(lambda: (alive := reference()) is not None and alive.close())
    return generator
