"""requirements.txt pins what a user installs and nothing else; requirements-test.txt what only the tests need."""

import importlib.metadata
import re
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.helpers.paths import ROOT

# other versions of Python need other packages besides: exceptions, typing, resources
pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason='the pins are exact for Python 3.11')

RUNTIME_EXTRAS = ('gcs', 'perceptual', 'video')  # launchers and the container read and write gs://
TEST_EXTRAS = (*RUNTIME_EXTRAS, 'test', 'faces', 'hub', 'onnx', 'provenance', 'serve', 'stablehlo', 'tflite')
INSTALLERS = {'pip', 'setuptools', 'wheel'}  # a new environment's own, or of no use after the install
OTHER_PLATFORMS = {'tensorflow', 'tzdata', 'colorama'}  # pinned or not, they are not installed here


def normalized(name: str) -> str:
    """A package's name as indices compare it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def reachable(extras: tuple[str, ...]) -> set[str]:
    """The names of all packages that the project needs with these extras, as installed here."""
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    todo = [*project['dependencies'], *(line for extra in extras for line in project['optional-dependencies'][extra])]
    pending, seen = [Requirement(line) for line in todo], set()
    while pending:
        needed = pending.pop()
        key = normalized(needed.name), frozenset(needed.extras)
        if key in seen or (needed.marker and not any(needed.marker.evaluate({'extra': e}) for e in ('', *needed.extras))):
            continue
        seen.add(key)
        try:
            lines = importlib.metadata.requires(needed.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            if requirement.marker is None or any(requirement.marker.evaluate({'extra': e}) for e in ('', *needed.extras)):
                requirement.marker = None
                pending.append(requirement)
    return {name for name, _ in seen}


def pinned(file: str) -> set[str]:
    """The names in a file of pins, all of which are exact."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith(('#', '-r '))]
    assert all('==' in line for line in lines), file
    return {normalized(line.partition('==')[0]) for line in lines}


def test_a_user_installs_the_runtime_set_alone():
    assert pinned('requirements.txt') - OTHER_PLATFORMS == reachable(RUNTIME_EXTRAS) - OTHER_PLATFORMS - INSTALLERS


def test_the_tests_add_theirs():
    runtime, tests = pinned('requirements.txt'), pinned('requirements-test.txt')
    assert not runtime & tests and {'pytest', 'hypothesis', 'ruff'} <= tests
    assert (runtime | tests) - OTHER_PLATFORMS == reachable(TEST_EXTRAS) - OTHER_PLATFORMS - INSTALLERS
    assert '-r requirements.txt' in (ROOT / 'requirements-test.txt').read_text().splitlines()
