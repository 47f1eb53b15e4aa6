"""Options and places that tests share."""

import gc
import logging
import os
import pathlib
import resource
import signal
from collections.abc import Callable, Iterator

import jax
import pytest

from tests.helpers.paths import REFERENCE, ROOT
from ugatit_jax.common.command import GC_THRESHOLD
from ugatit_jax.training.memory import trim_memory

# The tests' networks are tiny: compiling is what takes the time, so LLVM need not optimise, and fusions become its code at
# once, not by way of MLIR: a step compiles in half of the CPU seconds. At level 0 the program of one step at batch 1
# gives NaN gradients on jax 0.10.2 (levels 1 to 3 do not, nor does any part of it alone): steps of tests have 2 images.
os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} --xla_backend_optimization_level=0'.strip()
if jax.__version_info__ < (0, 11):  # later ones end the process at a flag that they do not know any more
    os.environ['XLA_FLAGS'] += ' --xla_cpu_use_fusion_emitters=false'
# programs compiled by one run of the tests serve the next, and the processes that tests start
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(ROOT / '.cache' / 'compiled'))
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0.1')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')  # the tests' processes would share a GPU, and tolerances are a CPU's
jax.config.update('jax_platforms', os.environ['JAX_PLATFORMS'])
jax.config.update('jax_compilation_cache_dir', os.environ['JAX_COMPILATION_CACHE_DIR'])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
gc.set_threshold(GC_THRESHOLD, 10, 10)  # as the commands do

# those that take longest: begun first, so that no process is left with one of them when the others are done
LONGEST = (
    'training/test_goldens.py',
    'training/test_step.py',
    'training/test_loop.py',
    'evaluate/test_run.py',
    'training/test_step_options.py',
    'convert/test_from_official.py',
    'training/test_processes.py',
    'training/test_memory.py',
)

MOST_MEMORY = 1.5e9  # bytes of a process; to compile a step takes up to 0.8 GB more

# A shell that starts the tests in the background lets them ignore Ctrl-C, and so would the commands that they start
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def as_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """as_on('gpu') lets what is traced in this test take the forms for a GPU; they compute the same on a CPU."""

    def pretend(backend: str) -> None:
        monkeypatch.setattr(jax, 'default_backend', lambda: backend)
        jax.clear_caches()  # networks are traced once for as long as the process lives

    yield pretend
    monkeypatch.undo()
    jax.clear_caches()


@pytest.fixture(autouse=True)
def keep_log_levels() -> Iterator[None]:
    """Undoes what `configure_logging` of a command leaves behind: other tests look at what is logged."""
    loggers = [
        logging.getLogger(),
        *(logger for logger in logging.root.manager.loggerDict.values() if hasattr(logger, 'level')),
    ]
    levels = [(logger, logger.level) for logger in loggers]
    yield
    for logger, level in levels:
        logger.setLevel(level)


@pytest.fixture(scope='module', autouse=True)
def drop_programs() -> Iterator[None]:
    """Drops all compiled programs after a file where they take much memory: over all files they would grow to 5 GB."""
    yield
    statistics = pathlib.Path('/proc/self/statm')  # Linux has it
    if statistics.exists() and int(statistics.read_text().split()[1]) * resource.getpagesize() > MOST_MEMORY:
        jax.clear_caches()
        trim_memory()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--golden FILE compares with another file in the format of the reference data."""
    parser.addoption('--golden', action='append', default=[], metavar='FILE.npz', help='also compare with this golden')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first; make test hands out files in this order."""
    places = {ROOT / 'tests' / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with a `golden_path` run on the embedded files, the reference folder's and those of --golden.

    Those with a `backend`, too, also with the embedded ones as if on a GPU: what is done there computes the same on a CPU.
    That is slow for tests marked slow_as_on_gpu.
    """
    if 'golden_path' not in metafunc.fixturenames:
        return
    embedded = sorted((ROOT / 'tests' / 'golden_data').glob('*.npz'))
    reference = [
        REFERENCE / f'{name}.npz' for name in ('pytorch_light', 'pytorch_full', 'tensorflow_light', 'tensorflow_full')
    ]
    given = [pathlib.Path(path) for path in metafunc.config.getoption('golden')]
    paths = [*embedded, *reference, *given]
    names = [f'{path.parent.name}/{path.stem}' for path in paths]
    if 'backend' not in metafunc.fixturenames:
        metafunc.parametrize('golden_path', paths, ids=names)
        return
    marks = [pytest.mark.slow] if metafunc.definition.get_closest_marker('slow_as_on_gpu') else []
    metafunc.parametrize(
        'golden_path, backend',
        [(path, 'cpu') for path in paths] + [pytest.param(path, 'gpu', marks=marks) for path in embedded],
        ids=names + [f'{name}-as-on-gpu' for name in names[: len(embedded)]],
    )
