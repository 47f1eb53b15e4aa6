"""Batches of step k, whatever happened before: index-based and stateless, so that nothing has to be saved to resume."""
import os
from collections.abc import Iterator

import numpy as np

from ugatit_jax.data.cache import Pictures, cached_pictures
from ugatit_jax.data.shuffle import MAX_EXAMPLES, shuffled_index
from ugatit_jax.data.sources import Source, load_size
from ugatit_jax.errors import UserError

STREAMS = {'A': 0, 'B': 1}  # of shuffled_index: the domains are shuffled apart
_PREFETCH = 4  # batches ahead of the train step
_CHUNK = 2048  # examples whose indices are computed at once: for a few at a time NumPy's overhead would dominate

Batch = dict[str, np.ndarray]


def train_batches(source_A: Source, source_B: Source, config, start_step: int = 0, process_index: int = 0,
                  process_count: int = 1) -> Iterator[Batch]:
    """Endless batches {'A': uint8 [b, load, load, channels_A], 'B': ...} of this process, from `start_step` on.

    Args:
      source_A, source_B: training pictures of any, also unequal, numbers.
      config: the whole configuration.
      start_step: the first batch is the one of this step; it does not depend on where a run began.
      process_index, process_count: process p gets rows p*b to (p+1)*b of the global batch, b = batch_size / process_count.
    """
    local = local_batch_size(config.data.batch_size, process_count)
    sources = {'A': source_A, 'B': source_B}
    pictures = cached_pictures(sources, load_size(config), config)
    rows = process_index * local + np.arange(local)

    def indices(first_step: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
        positions = (first_step + np.arange(steps))[:, None] * config.data.batch_size + rows  # [steps, b]
        return tuple(global_indices(positions.reshape(-1), len(sources[domain]), config.seed, domain) for domain in 'AB')

    return _run(pictures, indices, local, start_step, config.data.workers or len(os.sched_getaffinity(0)))


def global_indices(positions: np.ndarray, n: int, seed: int, domain: str) -> np.ndarray:
    """Pictures (int64) of the global examples `positions` (step * batch_size + row) of a domain of n pictures."""
    if positions.size and positions.max() >= MAX_EXAMPLES:
        raise UserError(f'example {positions.max():,} of a run: the order of pictures is defined below {MAX_EXAMPLES:,} = '
                        'steps * batch_size')
    return shuffled_index(positions, n, seed, STREAMS[domain]).astype(np.int64)


def local_batch_size(batch_size: int, process_count: int) -> int:
    """Examples per process, or UserError if the batch does not divide."""
    if batch_size < 1 or batch_size % process_count:
        raise UserError(f'data.batch_size={batch_size} does not divide over {process_count} processes: choose a multiple')
    return batch_size // process_count


def _run(pictures: dict[str, Pictures], indices, local: int, start_step: int, workers: int) -> Iterator[Batch]:
    import tensorflow as tf  # here, so that everything else of the data path works without it

    failures = []  # TensorFlow turns an exception into a page of text: the original is kept and raised again
    steps = max(1, _CHUNK // local)

    def example_indices(chunk):
        return indices(start_step + int(chunk) * steps, steps)

    def example(i, j):
        try:
            return pictures['A'][int(i)], pictures['B'][int(j)]
        except Exception as error:
            failures.append(error)
            raise

    def load(i, j):
        pair = tf.numpy_function(example, [i, j], (tf.uint8, tf.uint8), stateful=False)
        return {domain: tf.ensure_shape(image, pictures[domain].shape) for domain, image in zip('AB', pair, strict=True)}

    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    options.autotune.enabled = False  # one stage takes the time, and its number of threads is known
    dataset = (tf.data.Dataset.counter()
               .map(lambda chunk: tf.numpy_function(example_indices, [chunk], (tf.int64, tf.int64), stateful=False))
               .unbatch()
               .map(load, num_parallel_calls=workers, deterministic=True)
               .batch(local, drop_remainder=True)
               .prefetch(_PREFETCH)
               .with_options(options))

    def batches() -> Iterator[Batch]:
        try:
            yield from dataset.as_numpy_iterator()
        except tf.errors.OpError as error:
            raise failures[0] if failures else error from None

    return batches()
