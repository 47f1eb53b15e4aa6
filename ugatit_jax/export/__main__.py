"""Writes the generators of a checkpoint as a folder to ship, publish or load elsewhere, or one of them as a single file.

    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FOLDER [--dtype=float16]
    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FILE.onnx --direction=a2b [--dtype=float16|int8]
    python -m ugatit_jax.export --checkpoint=WORKDIR --to=FOLDER --page

FOLDER has config.json, genA2B.safetensors, genB2A.safetensors and README.md, a model card, laid out as the Hugging Face Hub
takes models. `ugatit_jax.load(FOLDER)` and --checkpoint=FOLDER of ugatit_jax.translate read it, and so does init_from.
FILE is a generator for other programs, in the format of its suffix; it is compared with JAX before it is written
(docs/export.md). With --page FOLDER is a static web page, which translates images in the visitor's browser (docs/web.md).
"""

import logging
import os
import sys
from typing import Any

from ugatit_jax.common.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.common.files import validate_local
from ugatit_jax.export.formats import DTYPES, suffix_of

WORDS = {'folder': 'folders', 'file': 'files, such as x.onnx', 'page': 'pages'}
# flags that not every kind of output has: those that do
FLAGS = {
    'license': ('folder',),
    'size': ('file',),
    'batch': ('file',),
    'images': ('file', 'page'),
    'overwrite': ('file', 'page'),
    'runtime': ('page',),
}


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
        help='float16 halves what is written; int8: convolutions of a file, calibrated with images (default: float32; of a '
        'page float16, with which it computes in float32)',
    )
    add('--license', default='', metavar='NAME', help="licence of the weights, for a folder's model card, such as mit")
    add('--size', default='', metavar='N|any', help='of a file: side of the squares that it takes (default: any if it can)')
    add('--batch', default='', metavar='N|any', help='of a file: images at once (default: any if it can)')
    add(
        '--images',
        default='',
        metavar='DIR',
        help="of a file or page: images to compare on (default: the run's test images)",
    )
    add('--overwrite', action='store_true', help='replace a file or page that exists')
    add('--page', action='store_true', help="write a web page that runs the model in the visitor's browser")
    add(
        '--runtime',
        default='',
        metavar='PLACE',
        help='of a page: onnxruntime-web, its folder or tarball (default: from npm)',
    )
    options = vars(parser.parse_args(arguments))
    configure_logging(logging.WARNING)

    def command() -> None:
        configure_process()
        print('\n'.join(export(**options)))

    return run_command(command)


def export(checkpoint: str, to: str, *, page: bool = False, dtype: str | None = None, **options: Any) -> list[str]:
    """Writes a folder, a file or a page, as --to and --page say; returns lines to print.

    Raises UserError for flags of the others.
    """
    if not to:  # of a shell variable that is not set
        raise UserError('--to= is empty; name a folder or a file')
    validate_local(to, '--to')
    if os.path.splitext(to)[1].lower() in ('.html', '.htm'):
        raise UserError(f'--to={to}: a page is a folder with its index.html; name the folder, and add --page')
    is_file = bool(suffix_of(to))
    if page and is_file:
        raise UserError(f'--page writes a folder, and --to={to} is a file; leave one out')
    kind = 'page' if page else 'file' if is_file else 'folder'
    for name, kinds in FLAGS.items():
        if kind not in kinds and options.pop(name):
            raise UserError(f'--{name} is for {" and ".join(WORDS[other] for other in kinds)}, and --to={to} is a {kind}')
    if kind != 'file' and dtype == 'int8':
        raise UserError(f'--dtype=int8: a {kind} has {" or ".join(DTYPES)}; files such as x.onnx can be int8')
    from ugatit_jax.export.model_folder import export_folder
    from ugatit_jax.export.single_file import export_file
    from ugatit_jax.export.web_page import export_page

    write = {'page': export_page, 'file': export_file, 'folder': export_folder}[kind]
    lines = write(checkpoint, to, dtype=dtype or ('float16' if page else 'float32'), **options)
    if kind == 'folder' and to.endswith('/'):
        lines.append('  (its weights; --page writes a web page instead)')
    return lines


if __name__ == '__main__':
    sys.exit(main())
