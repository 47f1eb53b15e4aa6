"""Converts official checkpoints to workdirs of this project, and workdirs to files for others.

    python -m ugatit_jax.convert --from=FILE_OR_DIR --to=DIR               official checkpoint -> a workdir
    python -m ugatit_jax.convert --from=DIR[/checkpoints/STEP] --to=x.pt   a workdir -> PyTorch release (needs torch)
    python -m ugatit_jax.convert --from=DIR --to=x.safetensors             a workdir -> arrays by name

FILE_OR_DIR is a PyTorch file (NAME_params_*.pt, or a generator's state_dict) or a TensorFlow checkpoint (prefix or folder).
"""

import argparse
import logging
import os
import sys

from ugatit_jax.common.command import argument_parser, configure_logging, run_command


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.convert', __doc__)
    add = parser.add_argument
    add('--from', dest='source', required=True, metavar='FILE_OR_DIR', help='what to convert')
    add('--to', required=True, metavar='DIR|x.pt|x.safetensors', help='what to write; must not exist')
    add('--image_size', type=int, help='side of the images of a light model (default: 256)')
    add('--direction', type=str.upper, choices=('A2B', 'B2A'), help='of a file with one generator')
    add(
        '--smoothing',
        action=argparse.BooleanOptionalAction,
        help="whether a TensorFlow model was trained with that option (default: as its folder's name says, else on)",
    )
    add('--weights', choices=('raw', 'ema'), default='raw', help='generators of a workdir (default: raw)')
    options = vars(parser.parse_args(arguments))
    configure_logging(logging.WARNING)
    os.environ.setdefault('JAX_PLATFORMS', 'cpu')  # nothing is computed; leaves accelerators to training
    from ugatit_jax.convert.convert import convert

    source, target = options.pop('source'), options.pop('to')
    return run_command(lambda: print('\n'.join(convert(source, target, **options))))


if __name__ == '__main__':
    sys.exit(main())
