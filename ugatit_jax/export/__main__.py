"""Writes the generators of a checkpoint as a folder to ship, publish or load elsewhere, or one of them as a single file.

    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FOLDER [--dtype=float16]
    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FILE.onnx --direction=a2b [--dtype=float16|int8]

FOLDER has config.json, genA2B.safetensors, genB2A.safetensors and README.md, a model card, laid out as the Hugging Face Hub
takes models. `ugatit_jax.load(FOLDER)` and --checkpoint=FOLDER of ugatit_jax.translate read it, and so does init_from.
FILE is a generator for other programs, in the format of its suffix; it is compared with JAX before it is written
(docs/export.md).
"""

import logging
import sys
from typing import Any

from ugatit_jax.checkpoint.model_folder import DTYPES
from ugatit_jax.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.errors import UserError
from ugatit_jax.export.model_folder import export_folder
from ugatit_jax.export.single_file import export_file, suffix_of


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.export', __doc__)
    add = parser.add_argument
    add('--checkpoint', required=True, metavar='WORKDIR_OR_STEP', help='a workdir, or one of its checkpoints/STEP')
    add('--to', required=True, metavar='FOLDER|FILE', help='what to write; the suffix says in which format')
    add('--step', default='latest', help='latest, best or a number (default: latest)')
    add('--weights', choices=('auto', 'raw', 'ema'), default='auto', help='auto: averaged where there are some')
    add(
        '--direction',
        type=str.lower,
        choices=('a2b', 'b2a', 'both'),
        default='both',
        help='generators to write; a file holds one (default: both)',
    )
    add(
        '--dtype',
        choices=(*DTYPES, 'int8'),
        default='float32',
        help='float16 halves what is written; int8: convolutions of a file, calibrated with images (default: float32)',
    )
    add('--license', default='', metavar='NAME', help="licence of the weights, for a folder's model card, such as mit")
    add('--size', default='', metavar='N|any', help='of a file: side of the squares that it takes (default: any if it can)')
    add('--batch', default='', metavar='N|any', help='of a file: images at once (default: any if it can)')
    add('--images', default='', metavar='DIR', help="of a file: images to compare on (default: the run's test images)")
    add('--overwrite', action='store_true', help='replace a file that exists')
    options = vars(parser.parse_args(arguments))
    configure_logging(logging.WARNING)

    def command() -> None:
        configure_process()
        print('\n'.join(export(**options)))

    return run_command(command)


def export(checkpoint: str, to: str, **options: Any) -> list[str]:
    """Writes a folder or a file, as --to says; returns lines to print. Raises UserError for flags of the other."""
    is_file = bool(suffix_of(to))
    for name in ('license',) if is_file else ('size', 'batch', 'images', 'overwrite'):
        if options.pop(name):
            raise UserError(
                f'--{name} is {"for folders, and" if is_file else "for files, such as x.onnx, and"} --to={to} is not'
            )
    if not is_file and options['dtype'] not in DTYPES:
        raise UserError(f'--dtype={options["dtype"]}: folders are {" or ".join(DTYPES)}; files such as x.onnx can be int8')
    return (export_file if is_file else export_folder)(checkpoint, to, **options)


if __name__ == '__main__':
    sys.exit(main())
