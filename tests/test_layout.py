"""The package's layers: imports run one way, and modules stay short; tests share helpers alone."""

import ast
import pathlib
import re

import pytest

from tests.helpers.paths import ROOT

PACKAGE = ROOT / 'ugatit_jax'
LAYERS = (  # from the top to the bottom: each imports only from those below it
    'commands',
    'serve',
    'convert export',
    'training',
    'translate evaluate',
    'report',
    'checkpoint',
    'data',
    'faces',
    'config',
    'models',
    'common.sharding common.command',
    'common.progress',
    'common.compiler common.files common.images',
    'common.process',
    'common.errors common.background',
    'common',
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names.split()}
MODULES = sorted(PACKAGE.rglob('*.py'))
LONGEST = 300  # lines


def layer_of(parts: tuple[str, ...]) -> str:
    """The layer of a module by its path below the package; '' for the package itself."""
    name = parts[0] if parts else ''
    command = name in ('main', 'run_page', 'distill') or parts[-1:] == ('__main__',) or parts == ('data', 'check')
    if name == 'common':
        name = '.'.join(parts[:2]).removesuffix('.__init__')
    return 'commands' if command else name


def imports_of(module: pathlib.Path) -> set[tuple[str, ...]]:
    """Modules of the package that a module imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        found |= {tuple(name.split('.')[1:]) for name in names if name.split('.')[0] == 'ugatit_jax'}
    return found


@pytest.mark.parametrize('module', MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(module):
    parts = module.relative_to(PACKAGE).with_suffix('').parts
    if parts == ('__init__',):
        return  # ugatit_jax.load
    own = layer_of(parts)
    for imported in imports_of(module):
        other = layer_of(imported)
        if other not in LEVEL:
            assert imported in ((), ('__version__',)), imported  # the package itself, for its version
        elif other != own:
            assert LEVEL[own] < LEVEL[other], f'{"/".join(parts)} imports {".".join(imported)}'


def test_modules_are_short():
    long = {
        str(path.relative_to(ROOT)): lines for path in MODULES if (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long


def test_nothing_is_imported_from_a_test_module_or_a_conftest():
    pattern = re.compile(r'^ *(from|import) tests\.(?!helpers)', re.MULTILINE)
    assert not [path for path in (ROOT / 'tests').rglob('*.py') if pattern.search(path.read_text())]
