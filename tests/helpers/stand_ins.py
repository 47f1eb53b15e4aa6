"""A folder of stand-ins for the commands that launch/ calls, put first on PATH, with a cloud that is a folder of files."""

import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parent.parent.parent
HERE = ('gcloud', 'kubectl', 'srun', 'scontrol', 'sleep', 'python3')
ON_WORKERS = ('gcloud', 'python3.11', 'python3.12', 'python3')
PLAN = {
    'project': 'my-project',
    'types': ['v5litepod-8', 'v5litepod-16'],
    'states': [],  # what the queue says, one after another, the last for good; nothing: no such resource
    'lives': ['WAITING_FOR_RESOURCES,PROVISIONING,ACTIVE'],  # the states after each create
    'nodes': ['READY'],  # what the node says while the queue says ACTIVE
    'failure': '',  # why a queued resource is FAILED
    'workers': ['worker-0', 'worker-1'],
    'runs': [
        'code=0'
    ],  # what each start of main does: code= its exit code, states= of the slice then, until= a file is there
    'python_is_old': '0',
    'jobset': ['h2z/Completed'],
    'kube_nodes': 'node/a',
    'exit_codes': '',
    'srun': ['0'],
}


@dataclasses.dataclass
class Call:
    """A call of a stand-in: where, with which variables, standard input and words."""

    host: str
    environment: dict[str, str]
    stdin: str
    words: list[str]


class StandIns:
    """Runs scripts of launch/ among stand-ins and reads what they called."""

    def __init__(self, folder: pathlib.Path, **plan):
        self.folder, self.started = folder, []
        for place, names in (('bin', HERE), ('worker_bin', ON_WORKERS)):
            (folder / place).mkdir()
            for name in names:
                shutil.copy(ROOT / 'tests' / 'helpers' / 'stand_in.sh', folder / place / name)
        (folder / 'plan' / 'refuse').mkdir(parents=True)
        self.change(**{**PLAN, **plan})
        self.checkout = folder / 'a checkout'
        shutil.copytree(ROOT / 'launch', self.checkout / 'launch')
        git = ['git', '-C', self.checkout, '-c', 'user.name=a', '-c', 'user.email=a@b']
        for command in (['init', '--quiet'], ['add', '.'], ['commit', '--quiet', '--message=all']):
            subprocess.run([*git, *command], check=True)

    def change(self, **plan) -> None:
        """Sets values of the plan."""
        for name, value in plan.items():
            lines = [value] if isinstance(value, str) else value
            self.put(name, ''.join(f'{line}\n' for line in lines))

    def put(self, name: str, text: str) -> None:
        """Writes a file of the plan, at once: stand-ins read it at any time."""
        path = self.folder / 'plan' / 'new'
        path.write_text(text)
        path.rename(self.folder / 'plan' / name)

    def refuse(self, start: str, error: str, host: str = '', times: int = -1, code: int = 1) -> None:
        """Calls whose words begin with `start`, on hosts that begin with `host`, fail `times` times, or always."""
        self.put(f'refuse/{start.replace(" ", "-")}', f'{start}\n{host}\n{times}\n{code}\n{error}\n')

    def environment(self, **variables):
        path = {'PATH': f'{self.folder / "bin"}:{os.environ["PATH"]}', 'REAL_PATH': os.environ['PATH']}
        return {**path, 'HOME': str(self.folder), 'STAND_INS': str(self.folder), **variables}

    def run(self, script: str, *args: str, **variables: str) -> subprocess.CompletedProcess:
        """launch/SCRIPT ARGS with these variables, to its end."""
        command = [self.checkout / 'launch' / script, *args]
        return subprocess.run(command, env=self.environment(**variables), text=True, capture_output=True, timeout=60)

    def start(self, script: str, *args: str, **variables: str) -> subprocess.Popen:
        """The same in the background, in a process group of its own, as a shell's foreground job is."""
        command = [self.checkout / 'launch' / script, *args]
        pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
        process = subprocess.Popen(command, env=self.environment(**variables), start_new_session=True, **pipes)
        self.started.append(process)
        return process

    def close(self) -> None:
        """Ends what still runs."""
        (self.folder / 'closed').touch()
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    @property
    def calls(self) -> list[Call]:
        """All calls so far."""
        path = self.folder / 'calls'
        calls = []
        for call in (path.read_text() if path.exists() else '').split('\x1e')[:-1]:
            host, environment, stdin, *words = call.split('\x1f')[:-1]
            variables = dict(line.split('=', 1) for line in environment.splitlines() if '=' in line)
            calls.append(Call(host, variables, stdin, words))
        return calls

    def commands(self, *start: str, host: str = '') -> list[list[str]]:
        """The calls that begin with these words, on the launching machine or on `host`."""
        found = [call.words for call in self.calls if call.host == host]
        return [words for words in found if words[: len(start)] == list(start)]

    def mains(self, host: str) -> list[Call]:
        """The starts of main on `host`."""
        return [call for call in self.calls if call.host == host and call.words[2:3] == ['ugatit_jax.main']]


def messages(result: subprocess.CompletedProcess) -> list[str]:
    """The launcher's own lines, without their beginning."""
    begin = 'ugatit_jax: '
    return [line.removeprefix(begin) for line in result.stderr.splitlines() if line.startswith(begin)]


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C: the whole foreground process group gets it."""
    os.killpg(process.pid, signal.SIGINT)


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits until the condition holds; fails where that takes too long."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'waited in vain'
        time.sleep(0.05)
