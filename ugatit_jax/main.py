"""Command line: python -m ugatit_jax.main --config=configs/cat2dog.py --workdir=DIR [--config.FIELD=VALUE ...]

Short on purpose: flags and the process's settings are here, everything else is in functions that tests can call.
"""
import logging
import os
import pathlib
import sys

import jax
from absl import flags
from ml_collections import config_flags

from ugatit_jax.errors import UserError
from ugatit_jax.train import train

config_flags.DEFINE_config_file('config', None, 'File of settings, for example configs/cat2dog.py.')
flags.DEFINE_string('workdir', None, 'Folder for checkpoints, previews and metrics; a run continues from what is there.')
flags.DEFINE_bool(
    'distributed', False, 'One of several processes: Cloud TPU, Slurm, or as JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES '
    'and JAX_PROCESS_ID say.')


def main(argv: list[str]) -> None:
    """Trains as the flags say."""
    if argv[1:]:
        raise UserError(f'{argv[1]!r} is not a flag; settings are written --config.FIELD=VALUE')
    for name in ('config', 'workdir'):
        if not flags.FLAGS[name].value:
            raise UserError(f'--{name} is missing; for example: --config=configs/demo.py --workdir=runs/demo')
    if flags.FLAGS.distributed:
        join_processes()
    use_compilation_cache()
    hide_gpus_from_tensorflow()
    train(flags.FLAGS.config, flags.FLAGS.workdir)


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; a misspelt field or a value of the wrong type is the user's mistake, not a traceback."""
    names = [value for arg, value in zip(argv, [*argv[1:], '']) if arg == '--config'] + [
        arg.partition('=')[2] for arg in argv if arg.startswith('--config=')]
    for name in names:
        path = name.partition(':')[0]  # what follows is the file's own argument
        if not pathlib.Path(path).is_file():
            raise UserError(f'--config={name}: there is no file {path}; those of this project are in configs/')
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        text = str(error).replace('\\n', ' ').replace("\\'", "'").strip('\'"')  # ml_collections passes on a quoted KeyError
        raise UserError(' '.join(text.split())) from error


def join_processes() -> None:
    """Finds the other processes: as the environment says, or, where it does not, as JAX knows the cluster."""
    numbers = {
        name: int(os.environ[variable])
        for name, variable in (('num_processes', 'JAX_NUM_PROCESSES'), ('process_id', 'JAX_PROCESS_ID'))
        if variable in os.environ}
    try:
        jax.distributed.initialize(**numbers)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f'--distributed: {error}; outside Cloud TPU and Slurm set JAX_COORDINATOR_ADDRESS=HOST:PORT, '
            'JAX_NUM_PROCESSES and JAX_PROCESS_ID') from error


def use_compilation_cache() -> None:
    """Keeps compiled programs for the next start, in a folder of the user's unless JAX is told another."""
    if not jax.config.jax_compilation_cache_dir:
        cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache')
        jax.config.update('jax_compilation_cache_dir', str(cache / 'ugatit_jax' / 'compiled'))


def hide_gpus_from_tensorflow() -> None:
    """TensorFlow only reads pictures here; left alone it takes the GPU's memory, and talks."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # it computes nothing here, and would announce these
    try:
        import tensorflow as tf
    except ImportError:
        return  # not installed: data.device_resident trains without it
    tf.config.set_visible_devices([], 'GPU')


def run() -> None:
    """Entry point: a user's mistake ends in one line and exit code 2."""
    logging.basicConfig(
        level=logging.INFO, format='%(asctime)s %(message)s', datefmt='%H:%M:%S', stream=sys.stderr, force=True)
    for name in ('absl', 'jax', 'orbax'):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        main(parse(sys.argv))
    except UserError as error:
        print(f'ugatit_jax: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('ugatit_jax: interrupted; the same command continues from the last checkpoint', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    run()
