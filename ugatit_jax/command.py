"""Settings of the process that a command makes before anything else: other processes, caches, TensorFlow's manners."""

import ctypes
import gc
import os
import pathlib
import sys

import jax
from etils import epath

from ugatit_jax.errors import UserError


def join_processes() -> None:
    """Finds the other processes: as the environment says, or, where it does not, as JAX knows the cluster."""
    numbers = {
        name: int(os.environ[variable])
        for name, variable in (('num_processes', 'JAX_NUM_PROCESSES'), ('process_id', 'JAX_PROCESS_ID'))
        if variable in os.environ
    }
    try:
        jax.distributed.initialize(**numbers)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'--distributed: {error}; outside Cloud TPU and Slurm set JAX_COORDINATOR_ADDRESS=HOST:PORT, '
            'JAX_NUM_PROCESSES and JAX_PROCESS_ID'
        ) from error


def use_compilation_cache(place: str = '') -> None:
    """Keeps compiled programs for the next start in folder `place`, or not at all where it is 'off'.

    By default where JAX_COMPILATION_CACHE_DIR says, or in a folder of the user's. Raises UserError where `place` cannot
    be written.
    """
    if place == 'off':
        jax.config.update('jax_compilation_cache_dir', None)
        jax.config.update('jax_enable_compilation_cache', False)
    elif place:
        try:
            epath.Path(place).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f'--compilation_cache={place} cannot be made: {error}; name a folder that can be written, or off'
            ) from error
        jax.config.update('jax_compilation_cache_dir', place)
    elif not jax.config.jax_compilation_cache_dir:
        jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'compiled'))


def collect_rarely() -> None:
    """Lets Python look for cycles of garbage after 100,000 new objects, not after hundreds.

    Tracing a train step makes very many that stay: looking through them again and again was a fifth of its time.
    """
    gc.set_threshold(100_000, 10, 10)


def give_back_memory() -> None:
    """Hands what Python and the C library keep of freed memory back to the system: over 1 GB after a step was compiled."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None) if sys.platform == 'linux' else None  # glibc has it
    if trim is not None:
        trim(0)


def cache_folder() -> pathlib.Path:
    """The user's folder for what can be made or fetched again."""
    return pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'ugatit_jax'


def hide_gpus_from_tensorflow() -> None:
    """TensorFlow only reads images here; left alone it takes the GPU's memory, and talks."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # it computes nothing here, and would announce these
    try:
        import tensorflow as tf
    except ImportError:
        return  # not installed: data.device_resident trains without it
    tf.config.set_visible_devices([], 'GPU')
