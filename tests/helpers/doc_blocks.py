"""Fenced blocks of Markdown pages, and the programs that a block of shell commands would start."""

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from tests.helpers.paths import ROOT

FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SHELL, PYTHON, TEXT = ('sh', 'bash'), ('python',), ('text',)
# the stand-in for every program: appends the number of its arguments, its path and the arguments
RECORDER = '#!/bin/bash\nprintf "%s\\0" "$#" "$0" "$@" >> "$CALLS"\n'


class Block(NamedTuple):
    """A fenced block."""

    where: str  # docs/data.md:12
    language: str
    text: str


class Call(NamedTuple):
    """A program and its arguments, as a shell would start it."""

    program: str  # a name, or a path in the repository: launch/tpu_vm.sh
    arguments: list[str]


def blocks_of(page: pathlib.Path) -> list[Block]:
    """All fenced blocks of a page."""
    text, name = page.read_text(), page.relative_to(ROOT) if page.is_relative_to(ROOT) else page.name
    return [Block(f'{name}:{text.count(chr(10), 0, m.start()) + 1}', m[1], m[2]) for m in FENCE.finditer(text)]


def calls_of(block: Block, programs: Iterable[str], work: pathlib.Path, before: str = '') -> list[Call]:
    """What bash starts for the block, in order, with stand-ins for `programs`, and for launch/*.sh, that all succeed.

    `before` sets variables that earlier blocks export. Bash itself expands variables and checks the syntax. Nothing else
    can be found: any other program is an AssertionError.
    """
    bin, calls = work / 'stand_ins', work / 'calls'
    shutil.rmtree(bin, ignore_errors=True)
    scripts = [f'launch/{script.name}' for script in (ROOT / 'launch').glob('*.sh')]
    for path in [*(bin / program for program in programs), *(work / script for script in scripts)]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER)
        path.chmod(0o755)
    calls.write_text('')
    result = subprocess.run(
        [shutil.which('bash'), '-euo', 'pipefail', '-c', before + block.text],
        cwd=work,
        env={'PATH': str(bin), 'CALLS': str(calls)},
        text=True,
        capture_output=True,
    )
    assert result.returncode == 0 and not result.stderr, f'{block.where}: {result.stderr or result.returncode}'
    words, found = calls.read_text().split('\0')[:-1], []
    while words:
        count, program, words = int(words[0]), words[1], words[2:]
        found.append(Call(program.removeprefix(f'{bin}/'), words[:count]))
        words = words[count:]
    return found


def variables_of(block: Block) -> set[str]:
    """Names of environment variables that the block sets and does not use itself."""
    assigned = set(re.findall(r'(?:^|\s)([A-Z][A-Z_]+)=', block.text, re.MULTILINE))
    return assigned - set(re.findall(r'\$\{?([A-Z_]+)', block.text))
