"""Serves a web page on which images are translated with a trained generator.

    python -m ugatit_jax.serve --checkpoint=WORKDIR [--port=7860] [--host=0.0.0.0]

WORKDIR may be WORKDIR/checkpoints/STEP, a folder that ugatit_jax.export wrote, or the name of a model of the package. Images
are computed here, one after another; uploads and results are deleted after an hour and when the server ends. It needs no
internet, and `pip install -e .[serve]` (docs/serve.md).
"""

import logging
import math
import sys

from ugatit_jax.common.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.common.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.serve', __doc__)
    add = parser.add_argument
    add('--checkpoint', required=True, metavar='WORKDIR_OR_STEP', help='a workdir, or one of its checkpoints/STEP')
    add('--step', default='latest', help='latest, best or a number (default: latest)')
    add('--weights', choices=('auto', 'raw', 'ema'), default='auto', help='auto: averaged where there are some')
    add('--host', default='127.0.0.1', help='0.0.0.0 for other machines, too (default: %(default)s, this machine alone)')
    add('--port', type=int, default=7860, help='(default: %(default)s)')
    add('--max_upload', type=float, default=20, metavar='MB', help='of a file (default: %(default)s)')
    add('--max_pixels', type=float, default=50, metavar='MILLIONS', help='of an uploaded image (default: %(default)s)')
    add(
        '--max_side',
        type=int,
        default=1024,
        metavar='SIDE',
        help='the generator sees at most SIDE^2 pixels (default: %(default)s)',
    )
    add('--max_queue', type=int, default=32, metavar='N', help='images that may wait (default: %(default)s)')
    add('--examples', default='', metavar='DIR', help="images to try (default: the test images of the run's data)")
    add('--no_metadata', action='store_true', help='do not write into results that they are synthetic, and by which model')
    add(
        '--sign',
        default='',
        metavar='CERT,KEY',
        help='sign results, as ugatit_jax.translate does (Content Credentials, C2PA)',
    )
    options = parser.parse_args(arguments)
    configure_logging(logging.WARNING)

    def command() -> None:
        for name in ('max_upload', 'max_pixels', 'max_side', 'max_queue'):
            if not 0 < getattr(options, name) < math.inf:
                raise UserError(f'--{name}={getattr(options, name):g}: it is a number above 0')
        if not 0 < options.port < 65536:
            raise UserError(f'--port={options.port}: it is from 1 to 65535')
        from ugatit_jax.checkpoint.generators import parse_step
        from ugatit_jax.serve.examples import find_examples
        from ugatit_jax.serve.model import Limits, ServedModel, load_translators
        from ugatit_jax.serve.server import require_gradio, serve, validate_address
        from ugatit_jax.translate.provenance import parse_credentials

        require_gradio()
        validate_address(options.host, options.port)  # before a model is loaded
        credentials = parse_credentials(options.sign, options.no_metadata)
        configure_process()
        limits = Limits(int(options.max_upload * 1e6), int(options.max_pixels * 1e6), options.max_side)
        translators = load_translators(options.checkpoint, parse_step(options.step), options.weights)
        model = ServedModel(translators, limits, metadata=not options.no_metadata, credentials=credentials)
        serve(model, find_examples(translators, options.examples), options.host, options.port, options.max_queue)

    return run_command(command)


if __name__ == '__main__':
    sys.exit(main())
