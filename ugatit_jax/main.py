"""Command line: python -m ugatit_jax.main --config=configs/cat2dog.py --workdir=DIR [--config.FIELD=VALUE ...]
... --mode=eval [--step=best] evaluates a trained run.

Short on purpose: flags and the process's settings are here, everything else is in functions that tests can call.
"""

import sys

from absl import flags
from ml_collections import config_flags

from ugatit_jax.common.command import configure_logging, configure_process, join_processes, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.config.flags import parse_flags
from ugatit_jax.config.help import help_text

config_flags.DEFINE_config_file('config', None, 'File of settings, or the name of one of configs/: cat2dog.')
flags.DEFINE_string('workdir', None, 'Folder for checkpoints, previews and metrics; a run continues from what is there.')
flags.DEFINE_enum('mode', 'train', ['train', 'eval'], 'Train, or evaluate a checkpoint of the workdir.')
flags.DEFINE_string('step', 'latest', 'Which checkpoint --mode=eval takes: latest, best or a number.')
flags.DEFINE_bool(
    'distributed',
    False,
    'One of several processes: Cloud TPU, Slurm, or as JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID say.',
)
flags.DEFINE_bool('dry_run', False, 'Check settings and data source, print parameters and memory, and end there.')
flags.DEFINE_string(
    'compilation_cache',
    '',
    "Folder for compiled programs, or off; by default JAX_COMPILATION_CACHE_DIR, or a folder of the user's.",
)
FLAGS = ('config', 'workdir', 'mode', 'step', 'distributed', 'dry_run', 'compilation_cache')  # in the order of --help


def run(argv: list[str]) -> None:
    """Trains or evaluates as the flags say."""
    if argv[1:]:
        raise UserError(f'{argv[1]!r} is not a flag; settings are written --config.FIELD=VALUE')
    for name in ('config', 'workdir'):
        if not flags.FLAGS[name].value:
            raise UserError(f'--{name} is missing; for example: --config=configs/demo.py --workdir=runs/demo')
    evaluates = flags.FLAGS.mode == 'eval'
    if evaluates and flags.FLAGS.dry_run:
        raise UserError('--dry_run is of training: without --mode=eval')
    if flags.FLAGS['step'].present and not evaluates:
        raise UserError(
            f'--step={flags.FLAGS.step} is of --mode=eval: training continues from the newest checkpoint; a new run starts '
            'from another with --config.init_from=WORKDIR/checkpoints/STEP'
        )
    if flags.FLAGS.distributed:
        join_processes()
    configure_process(flags.FLAGS.compilation_cache)
    if evaluates:
        from ugatit_jax.evaluate.run import evaluate_run

        evaluate_run(flags.FLAGS.config, flags.FLAGS.workdir, flags.FLAGS.step)
    elif flags.FLAGS.dry_run:
        from ugatit_jax.training.dry_run import dry_run

        dry_run(flags.FLAGS.config, flags.FLAGS.workdir)
    else:
        from ugatit_jax.training.loop import train

        train(flags.FLAGS.config, flags.FLAGS.workdir)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if text := help_text(arguments, FLAGS):
        print(text)
        return 0
    configure_logging(time=True)
    return run_command(lambda: run(parse_flags(['ugatit_jax.main', *arguments])))


if __name__ == '__main__':
    sys.exit(main())
