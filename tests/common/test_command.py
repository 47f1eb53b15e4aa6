"""Where compiled programs are kept, and what a process sets before it compiles."""

import contextlib
import gc
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT
from ugatit_jax import main
from ugatit_jax.common.command import slurm_devices
from ugatit_jax.common.errors import UserError
from ugatit_jax.evaluate.__main__ import main as evaluate
from ugatit_jax.translate.__main__ import main as translate

PROGRAM = """
import sys, jax
from ugatit_jax.common.command import enable_compilation_cache
enable_compilation_cache(*sys.argv[1:])
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
jax.block_until_ready(jax.jit(lambda x: x * 2 + 1)(1.0))
"""


@pytest.mark.parametrize(
    'place, variable, kept',
    [
        ('here', '', ['here']),
        ('off', '', []),
        ('', '', ['home/ugatit_jax/compiled']),
        ('', 'jax', ['jax']),
        ('here', 'jax', ['here']),
        ('off', 'jax', []),
    ],
)
def test_the_flag_then_the_variable_then_the_users_folder(place, variable, kept, tmp_path):
    env = {'XDG_CACHE_HOME': str(tmp_path / 'home'), 'JAX_PLATFORMS': 'cpu'}
    if variable:
        env['JAX_COMPILATION_CACHE_DIR'] = str(tmp_path / variable)
    folder = str(tmp_path / place) if place == 'here' else place
    subprocess.run([sys.executable, '-c', PROGRAM, folder], cwd=ROOT, env=env, check=True)
    assert sorted({str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob('*-cache')}) == kept


@pytest.mark.parametrize(
    'variables, devices',
    [
        ({}, None),  # not Slurm
        ({'SLURM_LOCALID': '0'}, None),  # no GPUs
        ({'SLURM_LOCALID': '0', 'SLURM_GPUS_ON_NODE': '4', 'SLURM_STEP_TASKS_PER_NODE': '1(x2)'}, [0, 1, 2, 3]),
        ({'SLURM_LOCALID': '1', 'SLURM_GPUS_ON_NODE': '4', 'SLURM_STEP_TASKS_PER_NODE': '2(x3)'}, [2, 3]),
        ({'SLURM_LOCALID': '3', 'SLURM_GPUS_ON_NODE': '4', 'SLURM_STEP_TASKS_PER_NODE': '4'}, [3]),
        (
            {
                'SLURM_LOCALID': '0',
                'SLURM_NODEID': '3',
                'SLURM_GPUS_ON_NODE': '2',
                'SLURM_STEP_TASKS_PER_NODE': '2(x3),1',
            },
            [0, 1],
        ),
        # bound: a process sees its own alone, which has the number 0
        (
            {
                'SLURM_LOCALID': '3',
                'SLURM_GPUS_ON_NODE': '4',
                'SLURM_STEP_TASKS_PER_NODE': '4',
                'CUDA_VISIBLE_DEVICES': '3',
            },
            [0],
        ),
        (
            {
                'SLURM_LOCALID': '1',
                'SLURM_GPUS_ON_NODE': '2',
                'SLURM_STEP_TASKS_PER_NODE': '2',
                'CUDA_VISIBLE_DEVICES': '0,1',
            },
            [1],
        ),
        ({'SLURM_LOCALID': '1', 'SLURM_GPUS_ON_NODE': '4', 'JAX_LOCAL_DEVICE_IDS': '0'}, None),
    ],
)
def test_the_gpus_of_a_process_under_slurm(variables, devices):
    assert slurm_devices(variables) == devices


def test_gpus_that_cannot_be_shared_equally_are_refused():
    with pytest.raises(UserError, match='3 processes on a node cannot share its 4 GPUs equally; hint: srun'):
        slurm_devices({'SLURM_LOCALID': '0', 'SLURM_GPUS_ON_NODE': '4', 'SLURM_STEP_TASKS_PER_NODE': '3'})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / 'file').touch()
    result = subprocess.run(
        [sys.executable, '-c', PROGRAM, str(tmp_path / 'file' / 'cache')], cwd=ROOT, text=True, capture_output=True
    )
    assert 'UserError' in result.stderr and 'cannot be made' in result.stderr


@pytest.mark.parametrize(
    'command',
    [
        lambda folder: main.run(
            main.parse_flags(['main', '--config=configs/demo.py', f'--workdir={folder}', '--mode=eval'])
        ),
        lambda folder: translate([f'--checkpoint={folder}', '--direction=a2b', '--input=a', '--output=b']),
        lambda folder: evaluate([f'--fake={folder}', f'--real={folder}']),
    ],
    ids=['main', 'translate', 'evaluate'],
)
def test_commands_collect_rarely(command, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        with contextlib.suppress(UserError):
            assert command(tmp_path / 'nothing') == 2  # refused, after the settings of the process
        assert gc.get_threshold()[0] == 100_000
    finally:
        gc.set_threshold(*kept)


FAILING = """
import logging, sys, threading
from ugatit_jax.common.command import configure_logging, run_command
from ugatit_jax.common.errors import UserError
configure_logging()
for name in ('absl', 'orbax.checkpoint', 'asyncio'):
    try:
        raise OSError('No space left on device')
    except OSError:
        logging.getLogger(name).exception('a page of a library')
def save():
    raise ValueError('No space left on device [and\\na page more]')
thread = threading.Thread(target=save, name='saving')
thread.start()
thread.join()
class Coroutine:
    def __del__(self):
        raise RuntimeError('left behind')
Coroutine()
def command():
    raise UserError('the run cannot be saved')
sys.exit(run_command(command))
"""


def test_failures_of_libraries_and_threads_take_a_line_at_most():
    done = subprocess.run([sys.executable, '-c', FAILING], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 2 and done.stderr.splitlines() == [
        'saving ended: ValueError: No space left on device [and',
        'ugatit_jax: the run cannot be saved',
    ], done.stderr


def test_the_exit_does_not_look_for_garbage():
    code = """
import atexit, gc
from ugatit_jax.common.command import run_command
atexit.register(lambda: print(gc.get_freeze_count() > 1000))  # the first to be registered is the last to run
run_command(lambda: None)
"""
    result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == 'True\n'


STOPPED = """
import sys, threading
from ugatit_jax.common.background import Background
from ugatit_jax.common.command import run_command
from ugatit_jax.common.errors import UserError
def command():
    with Background(lambda: threading.Event().wait(60)) as work:
        work.start()
        print('closed')
        raise {error}
sys.exit(run_command(command))
"""


@pytest.mark.parametrize(
    ('error', 'code', 'line'),
    [('KeyboardInterrupt', 130, 'ugatit_jax: interrupted\n'), ("UserError('a full disk')", 2, 'ugatit_jax: a full disk\n')],
)
def test_a_command_that_stops_does_not_wait_for_what_compiles(error, code, line):
    command = [sys.executable, '-c', STOPPED.format(error=error)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=40)  # the call takes 60 seconds
    assert (done.returncode, done.stderr, done.stdout) == (code, line, 'closed\n')
