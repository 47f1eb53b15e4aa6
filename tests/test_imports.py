"""What is imported when: a command that only shows its help, or that does not train, starts without what it does not use."""

import json
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT
from ugatit_jax.__main__ import COMMANDS

HEAVY = {'jax', 'flax', 'optax', 'orbax', 'tensorflow', 'tensorflow_datasets', 'matplotlib', 'gradio', 'onnx', 'torch'}
MODULES = ['ugatit_jax.__main__', *(module for module, _ in COMMANDS.values()), 'ugatit_jax.evaluate.ablation']

# forks a child for each piece of code, so that each begins without any module but Python's own
FORKING = """
import contextlib, io, json, os, sys
for code in json.loads(sys.argv[1]):
    read, write = os.pipe()
    if not (child := os.fork()):
        with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
            exec(code)
        os.write(write, json.dumps([text.getvalue(), sorted({name.split('.')[0] for name in sys.modules})]).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with open(read) as file:
        print(file.read() or '["", []]', flush=True)
"""


def imported_by(*pieces: str) -> list[tuple[str, set[str]]]:
    """What each piece of code prints, and the packages that are imported when it has run, alone."""
    done = subprocess.run([sys.executable, '-c', FORKING, json.dumps(pieces)], cwd=ROOT, text=True, stdout=-1, check=True)
    return [(text, set(names)) for text, names in map(json.loads, done.stdout.splitlines())]


@pytest.fixture(scope='module')
def helps():
    """(text, packages) of --help by command."""
    pieces = [f'import importlib; importlib.import_module({module!r}).main(["--help"])' for module in MODULES]
    return dict(zip(MODULES, imported_by(*pieces), strict=True))


@pytest.mark.parametrize('module', MODULES)
def test_help_imports_nothing_that_takes_seconds(module, helps):
    text, packages = helps[module]
    assert 'usage: ' in text or '--config=' in text
    assert not packages & HEAVY


def test_the_work_imports_only_what_it_uses():
    translation, training, config = imported_by(
        'import ugatit_jax; ugatit_jax.load("emoji")',
        'import ugatit_jax.training.loop',
        'from ugatit_jax.config import default; from ugatit_jax.config.flags import parse_flags',
    )
    assert translation[1] & HEAVY == {'jax', 'flax', 'optax'}
    assert training[1] & HEAVY == {'jax', 'flax', 'optax', 'orbax'}
    assert not config[1] & HEAVY
