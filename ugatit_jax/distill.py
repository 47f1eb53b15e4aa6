"""Trains a small student that learns the images of a trained teacher: fast and small enough for phones and browsers.

    python -m ugatit_jax.distill --teacher=WORKDIR --workdir=RUN [--config.FIELD=VALUE ...]

TEACHER is a workdir, one of its checkpoints, a folder that ugatit_jax.export wrote, hf://OWNER/NAME, or the name of a model
of the package. RUN is a run like any other: the same command continues it. The other flags are those of ugatit_jax.main.
"""

import argparse
import sys

from ugatit_jax import main as training
from ugatit_jax.common.command import argument_parser


def training_flags(arguments: list[str] | None = None) -> list[str]:
    """The flags of ugatit_jax.main that do the same."""
    parser = argument_parser('ugatit_jax.distill', __doc__)
    parser.allow_abbrev = False  # the other flags are not this parser's
    parser.add_argument('--teacher', required=True, help='whose images the student learns')
    parser.add_argument('--workdir', required=True, help='folder of the run; it continues from what is there')
    parser.add_argument('--config', help=argparse.SUPPRESS)
    options, others = parser.parse_known_args(arguments)
    if options.config is not None:  # it would take the place of the student's, and no teacher would be left
        parser.error(f'--config={options.config}: the student has a config of its own; --config.FIELD=VALUE changes it')
    return [f'--config=distill:{options.teacher}', f'--workdir={options.workdir}', *others]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return training.main(training_flags(arguments))


if __name__ == '__main__':
    sys.exit(main())
