"""WORKDIR/report.html, made again:

python -m ugatit_jax.run_page WORKDIR
"""

import argparse
import sys

from ugatit_jax.command import run_command
from ugatit_jax.report.run_page import write


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog='python -m ugatit_jax.run_page', description='Makes WORKDIR/report.html again.')
    parser.add_argument('workdir', metavar='WORKDIR', help='the folder of a run')
    options = parser.parse_args(arguments)
    return run_command(lambda: print(write(options.workdir)))


if __name__ == '__main__':
    sys.exit(main())
