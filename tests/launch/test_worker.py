"""launch/worker.sh and launch/detached.sh on one worker, among stand-ins for Python."""

import os
import pathlib
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.helpers.stand_ins import ROOT, StandIns, messages, wait_for


@pytest.fixture
def worker(tmp_path):
    stand_ins = StandIns(tmp_path, workers=['worker-0'])
    (tmp_path / 'worker-0').mkdir()
    yield stand_ins
    stand_ins.close()


def run(worker: StandIns, script: str, *args: str, **variables: str) -> subprocess.CompletedProcess:
    path = f'{worker.folder / "worker_bin"}:{os.environ["PATH"]}'
    return worker.run(script, *args, **{'PATH': path, 'STAND_IN_HOST': 'worker-0', 'HOSTNAME': 'worker-0', **variables})


@pytest.mark.parametrize('code', [0, 1, 2, 75, 130, 143])
def test_passes_arguments_and_the_exit_code_on(worker, code):
    worker.change(runs=[f'code={code}'])
    given = ['--workdir=/a b', "--c=it's $HOME", '']
    result = run(worker, 'worker.sh', *given, PYTHON='python3')
    assert result.returncode == code
    [main] = worker.mains('worker-0')
    assert main.words == ['python3', '-m', 'ugatit_jax.main', '--distributed', *given]
    assert len(worker.calls) == 1  # nothing was installed


@pytest.mark.parametrize('device, jax', [('cpu', []), ('cuda', ['jax[cuda]']), ('tpu', ['jax[tpu]'])])
def test_installs_once_for_a_device(worker, device, jax):
    assert run(worker, 'worker.sh', 'install', DEVICE=device).returncode == 0
    assert ['-m', 'pip', 'install', '--quiet', '-r', 'requirements.txt', *jax] in [call.words[1:] for call in worker.calls]
    before = len(worker.calls)
    assert run(worker, 'worker.sh', '--workdir=x', DEVICE=device).returncode == 0
    assert len(worker.calls) == before + 1 and worker.calls[-1].words[0] == 'python'


def test_what_is_installed_can_use_a_bucket():
    pinned = {line.partition('==')[0] for line in (ROOT / 'requirements.txt').read_text().splitlines()}
    extra = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']['gcs']
    assert {text.partition('>=')[0] for text in extra} == {'gcsfs', 'google-cloud-storage'} <= pinned


def test_an_installation_that_failed_is_not_taken_for_one(worker):
    worker.refuse('python -m pip install --quiet -r'.replace(' --quiet', ''), 'no network', times=1)
    assert run(worker, 'worker.sh', DEVICE='tpu').returncode == 1 and not worker.mains('worker-0')
    assert run(worker, 'worker.sh', DEVICE='tpu').returncode == 0 and len(worker.mains('worker-0')) == 1


@pytest.mark.parametrize('version, code', [((3, 10, 12), 1), ((3, 11, 0), 0), ((3, 14, 0), 0)])
def test_which_python_is_recent_enough(worker, version, code):
    run(worker, 'worker.sh', 'install', DEVICE='cpu')
    question = worker.calls[0].words[2]  # python3.11 -c QUESTION
    answer = subprocess.run([sys.executable, '-c', f'import sys\nsys.version_info = {version}\nexec({question!r})'])
    assert answer.returncode == code


def test_devices_are_checked(worker):
    result = run(worker, 'worker.sh', DEVICE='gpu')
    assert result.returncode == 2 and messages(result) == ['DEVICE=gpu is not cpu, cuda or tpu'] and not worker.calls
    assert 'DEVICE: ' in run(worker, 'worker.sh').stderr


def test_a_run_in_the_background(worker):
    worker.change(runs=['code=75 until=released', 'code=0 until=again'])
    assert run(worker, 'detached.sh', 'status').stdout == 'none\n'
    assert run(worker, 'detached.sh', 'start', 'gs://b/a run', '--x=1  2', PYTHON='python3').returncode == 0
    wait_for(lambda: worker.mains('worker-0'))
    assert run(worker, 'detached.sh', 'status').stdout == 'running\n'
    (worker.folder / 'released').touch()
    followed = run(worker, 'detached.sh', 'follow')
    assert 'start 0 of worker-0' in followed.stdout  # ended, since the run did
    assert run(worker, 'detached.sh', 'status').stdout == '75\n'
    assert run(worker, 'detached.sh', 'start', 'gs://b/a run', PYTHON='python3').returncode == 0
    assert run(worker, 'detached.sh', 'status').stdout == 'running\n'  # not the exit code of before
    (worker.folder / 'again').touch()
    wait_for(lambda: run(worker, 'detached.sh', 'status').stdout == '0\n')
    assert worker.mains('worker-0')[0].words[4:] == ['--workdir=gs://b/a run', '--x=1  2']


def process_of(worker: StandIns) -> int:
    """The id of main's process, once it runs."""
    wait_for((worker.folder / 'plan' / 'started-worker-0').exists)
    return int((worker.folder / 'pid-worker-0').read_text())


def is_gone(pid: int) -> bool:
    """Whether the process has ended, waited for or not."""
    try:
        return not pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()
    except FileNotFoundError:
        return True


def test_the_signal_of_a_shutdown_reaches_main_and_its_exit_code_is_noted(worker):
    worker.change(runs=['code=75 until=saved'])
    run(worker, 'detached.sh', 'start', 'gs://b/r', PYTHON='python3')
    wait_for(lambda: worker.mains('worker-0'))
    pid = int((worker.checkout / '.worker/pid').read_text())
    os.kill(pid, signal.SIGTERM)  # to the shell; the stand-in saves meanwhile
    assert run(worker, 'detached.sh', 'status').stdout == 'running\n'
    (worker.folder / 'saved').touch()
    wait_for(lambda: run(worker, 'detached.sh', 'status').stdout == '75\n')


def test_main_takes_the_place_of_its_shell(worker):
    worker.change(runs=['code=0 until=released'])
    run(worker, 'detached.sh', 'start', 'gs://b/r', PYTHON='python3')
    wait_for(lambda: worker.mains('worker-0'))
    pid = int((worker.checkout / '.worker/pid').read_text())
    parent = pathlib.Path(f'/proc/{process_of(worker)}/stat').read_text().split()[3]
    assert int(parent) == pid  # no shell of worker.sh between them that would swallow a signal


def test_a_run_that_was_killed_whole_can_go_on(worker):
    worker.change(runs=['code=0 until=never'])
    run(worker, 'detached.sh', 'start', 'gs://b/r', PYTHON='python3')
    wait_for(lambda: worker.mains('worker-0'))
    os.killpg(int((worker.checkout / '.worker/pid').read_text()), signal.SIGKILL)
    wait_for(lambda: run(worker, 'detached.sh', 'status').stdout == '143\n')


def test_what_is_left_of_an_earlier_run_is_ended(worker):
    worker.change(runs=['code=0 until=never', 'code=0'])
    run(worker, 'detached.sh', 'start', 'gs://b/r', PYTHON='python3')
    wait_for(lambda: worker.mains('worker-0'))
    first = process_of(worker)
    run(worker, 'detached.sh', 'start', 'gs://b/r', PYTHON='python3')
    wait_for(lambda: is_gone(first))
    wait_for(lambda: run(worker, 'detached.sh', 'status').stdout == '0\n')
