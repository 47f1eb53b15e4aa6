"""Writes the generators of a checkpoint as a folder to ship, publish or load elsewhere.

    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FOLDER [--dtype=float16]

FOLDER has config.json, genA2B.safetensors, genB2A.safetensors and README.md, a model card, laid out as the Hugging Face Hub
takes models. `ugatit_jax.load(FOLDER)` and --checkpoint=FOLDER of ugatit_jax.translate read it, and so does init_from.
"""

import logging
import sys

from ugatit_jax.checkpoint.model_folder import DTYPES
from ugatit_jax.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.export.model_folder import export_folder


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.export', __doc__)
    add = parser.add_argument
    add('--checkpoint', required=True, metavar='WORKDIR_OR_STEP', help='a workdir, or one of its checkpoints/STEP')
    add('--to', required=True, metavar='FOLDER', help='what to write; must not exist')
    add('--step', default='latest', help='latest, best or a number (default: latest)')
    add('--weights', choices=('auto', 'raw', 'ema'), default='auto', help='auto: averaged where there are some')
    add(
        '--direction',
        type=str.lower,
        choices=('a2b', 'b2a', 'both'),
        default='both',
        help='generators to write (default: both)',
    )
    add('--dtype', choices=DTYPES, default='float32', help='of the weights; float16 halves the files (default: float32)')
    add('--license', default='', metavar='NAME', help='licence of the weights, for the model card, such as mit')
    options = vars(parser.parse_args(arguments))
    configure_logging(logging.WARNING)

    def command() -> None:
        configure_process()
        print('\n'.join(export_folder(options.pop('checkpoint'), options.pop('to'), **options)))

    return run_command(command)


if __name__ == '__main__':
    sys.exit(main())
