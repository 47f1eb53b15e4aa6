"""What every command shares: settings of the process, logging, and exit codes."""

import argparse
import atexit
import gc
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping

from ugatit_jax.common import background
from ugatit_jax.common.errors import CommandExit, UserError, named_line, printable
from ugatit_jax.common.files import cache_folder, is_remote, make_folder, validate_writable

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 30  # a process that is silent for longer is taken for dead, and the others abort; JAX has 100
GC_THRESHOLD = 100_000  # tracing a train step makes many objects that stay; at Python's 700 the GC took a fifth of its time
BUCKET_LIBRARIES = ('gcsfs', 'google', 'aiohttp', 'requests')  # raise errors of their own: no answer, no credentials


def argument_parser(module: str, description: str) -> argparse.ArgumentParser:
    """A parser whose usage line names the command as it is started: python -m MODULE."""
    return argparse.ArgumentParser(
        prog=f'python -m {module}', description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run_command(command: Callable[[], int | None]) -> int:
    """The exit code of a command: what it returns; with one line on stderr that of a CommandExit, or 130 at Ctrl-C."""
    # at the exit Python looks for garbage in all that is loaded: measured, 5 of the last 6 seconds of a run
    atexit.register(gc.freeze)
    at_once = False
    try:
        return command() or 0
    except CommandExit as left:
        line, code, at_once = str(left), left.code, left.at_once
    except KeyboardInterrupt:
        line, code = 'interrupted', 130
    except Exception as error:
        if type(error).__module__.partition('.')[0] not in BUCKET_LIBRARIES:
            raise
        line = f'a bucket cannot be used: {printable(named_line(error))}; try again later'
        code = 1  # not 2, a mistake: launchers try again
    print(f'ugatit_jax: {line}', file=sys.stderr, flush=True)
    if at_once or compiles_in_vain():
        sys.stdout.flush()
        os._exit(code)
    return code


def compiles_in_vain() -> bool:
    """Whether a call in the background has not ended, such as a compilation of minutes: Python would wait for it.

    Not in one of several processes, which leave together.
    """
    if not background.running:
        return False
    import jax

    return not jax.distributed.is_initialized()


def configure_logging(level: int = logging.INFO, time: bool = False) -> None:
    """Sends this package's log lines to stderr, and of the libraries' only what matters to a user."""
    logging.basicConfig(
        level=level,
        format='%(asctime)s %(message)s' if time else '%(message)s',
        datefmt='%H:%M:%S',
        stream=sys.stderr,
        force=True,
    )
    logging.getLogger('jax').setLevel(logging.WARNING)
    logging.getLogger('ugatit_jax.common.progress').setLevel(logging.INFO)  # of commands that log warnings alone, too
    # a save that fails is a page of theirs, and one line of ours
    for name in ('absl', 'orbax', 'asyncio', 'gcsfs', 'fsspec'):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threading.excepthook, sys.unraisablehook = log_thread_error, log_unraisable


def log_thread_error(ended: threading.ExceptHookArgs) -> None:
    """A line in place of the traceback of a thread that ended with an error; libraries raise it where they wait for it."""
    name = ended.thread.name if ended.thread else 'a thread'
    if ended.exc_value is not None:
        logger.warning('%s ended: %s', name, named_line(ended.exc_value))


def log_unraisable(error: 'sys.UnraisableHookArgs') -> None:
    """Nothing, but at level DEBUG, in place of the tracebacks of coroutines that Orbax leaves behind a read that failed."""
    logger.debug('%s: %s', error.err_msg or 'ignored', named_line(error.exc_value) if error.exc_value else '')


def configure_process(compilation_cache: str = '') -> None:
    """Settings before anything is traced: the compilation cache and the garbage collector."""
    enable_compilation_cache(compilation_cache)
    gc.set_threshold(GC_THRESHOLD, 10, 10)


def enable_compilation_cache(place: str = '') -> None:
    """Keeps compiled programs for the next start in folder `place`, or not at all where it is 'off'.

    By default where JAX_COMPILATION_CACHE_DIR says, or in a folder of the user's. Raises UserError where `place` cannot
    be written.
    """
    import jax  # here: commands that only look at files start without it

    if place == 'off':
        jax.config.update('jax_compilation_cache_dir', None)
        jax.config.update('jax_enable_compilation_cache', False)
    elif is_remote(place):
        validate_writable(place, '--compilation_cache')
        jax.config.update('jax_compilation_cache_dir', place)
    elif place:
        make_folder(place, f'--compilation_cache={place}', 'name a folder that can be written, or off')
        jax.config.update('jax_compilation_cache_dir', place)
    elif not jax.config.jax_compilation_cache_dir:
        jax.config.update('jax_compilation_cache_dir', str(cache_folder() / 'compiled'))


def join_processes() -> None:
    """Joins the other processes of a run: as the environment says, or, where it does not, as JAX knows the cluster."""
    import jax

    numbers = {
        name: int(os.environ[variable])
        for name, variable in (('num_processes', 'JAX_NUM_PROCESSES'), ('process_id', 'JAX_PROCESS_ID'))
        if variable in os.environ
    }
    try:
        jax.distributed.initialize(
            **numbers, local_device_ids=slurm_devices(os.environ), heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'--distributed: {error}; outside Cloud TPU and Slurm set JAX_COORDINATOR_ADDRESS=HOST:PORT, '
            'JAX_NUM_PROCESSES and JAX_PROCESS_ID'
        ) from error


def slurm_devices(variables: Mapping[str, str]) -> list[int] | None:
    """The GPUs of this process under Slurm, by the numbers that it sees; None elsewhere, where JAX takes all.

    A process has an equal part of those of its node, all of them where it is alone there; where Slurm gave it some of its
    own (--gpus-per-task, --gpu-bind), these. JAX would take one, the GPU with the number of the process on its node.
    """
    if 'SLURM_LOCALID' not in variables or 'JAX_LOCAL_DEVICE_IDS' in variables:
        return None
    on_node = int(variables.get('SLURM_GPUS_ON_NODE') or 0)
    visible = len(variables['CUDA_VISIBLE_DEVICES'].split(',')) if variables.get('CUDA_VISIBLE_DEVICES') else on_node
    if visible < on_node:
        return list(range(visible))
    # '2(x3),1': two processes on each of three nodes, one on the fourth
    counts = re.findall(r'(\d+)(?:\(x(\d+)\))?', variables.get('SLURM_STEP_TASKS_PER_NODE', '1'))
    of_nodes = [int(count) for count, nodes in counts for _ in range(int(nodes or 1))]
    processes = of_nodes[int(variables.get('SLURM_NODEID', 0))]
    if not visible:
        return None
    if visible % processes:
        raise UserError(
            f'--distributed: {processes} processes on a node cannot share its {visible} GPUs equally; '
            f'hint: srun --ntasks-per-node={visible}, or 1'
        )
    share, place = visible // processes, int(variables['SLURM_LOCALID'])
    return list(range(share * place, share * (place + 1)))


def hide_gpus_from_tensorflow() -> None:
    """Keeps TensorFlow, which only reads images here, off the GPU, whose memory it would take, and quiet."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # it computes nothing here, and would announce these
    try:
        import tensorflow as tf
    except ImportError:
        return  # not installed: data.device_resident trains without it
    tf.config.set_visible_devices([], 'GPU')
