"""The official releases' checkpoints as ours, and ours as files for others.

    python -m ugatit_jax.convert --from=FILE_OR_DIR --to=DIR               official checkpoint -> a workdir of this project
    python -m ugatit_jax.convert --from=DIR[/checkpoints/STEP] --to=x.pt   a workdir -> PyTorch release (needs torch)
    python -m ugatit_jax.convert --from=DIR --to=x.safetensors             a workdir -> arrays by name (needs safetensors)

FILE_OR_DIR is a PyTorch file (NAME_params_*.pt, or a generator's state_dict) or a TensorFlow checkpoint (prefix or folder).
"""

import argparse
import logging
import sys

import jax

from ugatit_jax.command import configure_logging, run_command
from ugatit_jax.convert.convert import convert


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--from', dest='source', required=True, metavar='FILE_OR_DIR', help='what to convert')
    parser.add_argument('--to', required=True, metavar='DIR|x.pt|x.safetensors', help='what to make; must not exist')
    parser.add_argument('--image_size', type=int, help='side of the images of a light model (default: 256)')
    parser.add_argument('--direction', choices=('A2B', 'B2A'), help='of a file with one generator')
    parser.add_argument(
        '--smoothing',
        action=argparse.BooleanOptionalAction,
        default=None,
        help="the TensorFlow release's option in training (default: as its folder's name says, else on)",
    )
    parser.add_argument('--weights', choices=('raw', 'ema'), default='raw', help='generators of a workdir (default: raw)')
    options = vars(parser.parse_args(arguments))
    configure_logging(logging.WARNING)
    source, target = options.pop('source'), options.pop('to')
    return run_command(lambda: print('\n'.join(convert(source, target, **options))))


if __name__ == '__main__':
    jax.config.update('jax_platforms', 'cpu')  # nothing is computed; accelerators are left to those who train
    sys.exit(main())
