"""All tables and figures of docs/results.md, made again from the runs that they are of.

    python -m benchmarks.results                   # of all runs that are in runs/
    python -m benchmarks.results --parts emoji     # of the model that comes with the package: no run is needed

docs/results.md has the commands of the runs, with the names that are expected here. Of a part whose runs are not there this
is said, and its tables and figures stay as they are.
"""

import argparse
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.results_emoji import STAGES, shipped_model, training_curve
from benchmarks.results_official import beside_official
from benchmarks.results_photographs import SETS, photographs
from ugatit_jax.common.command import configure_process, run_command
from ugatit_jax.common.errors import UserError


class Part(NamedTuple):
    """Some tables and figures: `make` of the folder of runs gives them, by the names of markers and of .png files."""

    needs: tuple[str, ...]  # in the folder of runs
    make: Callable[[pathlib.Path], dict[str, Any]]


PARTS = {
    'emoji': Part((), shipped_model),
    'curve': Part(STAGES, training_curve),
    'official': Part(('ours0', 'official', 'speed.json'), beside_official),
    'photographs': Part(tuple(SETS), photographs),
}


def replace_between(text: str, name: str, content: str) -> str:
    """The text with `content` between the markers of `name`; raises UserError where there are none."""
    begin, end = f'<!-- begin {name} -->', f'<!-- end {name} -->'
    if begin not in text or end not in text:
        raise UserError(f'docs/results.md has no markers {begin} ... {end}')
    return re.sub(f'{re.escape(begin)}.*?{re.escape(end)}', lambda _: f'{begin}\n{content}\n{end}', text, flags=re.DOTALL)


def write(made: dict[str, Any], docs: pathlib.Path) -> None:
    """Tables into `docs`/results.md, figures and images beside it."""
    page = docs / 'results.md'
    for name, content in made.items():
        if isinstance(content, str):
            page.write_text(replace_between(page.read_text(), name, content))
        elif isinstance(content, Figure):
            content.savefig(docs / name, dpi=110)
        else:
            content.save(docs / name, optimize=True)
        print(f'wrote {docs / name}' if name.endswith('.png') else f'wrote the table "{name}" of {page}')


def make_results(parts: list[str], runs: pathlib.Path, docs: pathlib.Path) -> None:
    """Makes and writes the parts whose runs are there, and says which are not."""
    configure_process()
    for name in parts:
        if missing := [need for need in PARTS[name].needs if not (runs / need).exists()]:
            print(f'{name} stays as it is: there is no {", no ".join(str(runs / need) for need in missing)}')
        else:
            write(PARTS[name].make(runs), docs)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.results', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS), help='(default: all)')
    parser.add_argument('--runs', default='runs', type=pathlib.Path, metavar='DIR', help='(default: %(default)s)')
    parser.add_argument('--docs', default='docs', type=pathlib.Path, metavar='DIR', help='(default: %(default)s)')
    options = parser.parse_args(arguments)
    return run_command(lambda: make_results(options.parts, options.runs, options.docs))


if __name__ == '__main__':
    sys.exit(main())
