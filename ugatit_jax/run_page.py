"""Writes WORKDIR/report.html again from what is in the workdir:

    python -m ugatit_jax.run_page WORKDIR

Training writes it, too, while it runs.
"""

import logging
import sys

from ugatit_jax.common.command import argument_parser, configure_logging, run_command


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argument_parser('ugatit_jax.run_page', __doc__)
    parser.add_argument('workdir', metavar='WORKDIR', help='the folder of a run')
    options = parser.parse_args(arguments)
    configure_logging(logging.WARNING)
    from ugatit_jax.report.run_page import write_run_page

    return run_command(lambda: print(write_run_page(options.workdir)))


if __name__ == '__main__':
    sys.exit(main())
