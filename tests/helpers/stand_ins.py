"""A folder of stand-ins for the commands that launch/ calls, put first on PATH, with a cloud that is a file."""

import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
PROGRAM = pathlib.Path(__file__).parent / 'stand_in.py'
HERE = ('gcloud', 'kubectl', 'srun', 'scontrol', 'python3', 'sleep')
ON_WORKERS = ('gcloud', 'python3.11', 'python3.12', 'python3')
PLAN = {
    'project': 'my-project',
    'types': ['v5litepod-8', 'v5litepod-16'],
    'states': [],  # what the queue says, one after another; nothing: no such resource
    'lives': [['WAITING_FOR_RESOURCES', 'PROVISIONING', 'ACTIVE']],  # the states after each create
    'nodes': ['READY'],
    'failure': '',
    'workers': ['worker-0', 'worker-1'],
    'runs': [{'code': 0}],  # what main does at each start of a worker
    'started': {},
    'python_is_old': False,
    'refuse': {},  # beginning of a command: {'error': line, 'code': 1, 'host': where, 'times': how often}
    'jobset': ['h2z/Completed'],
    'kube_nodes': 'node/a',
    'exit_codes': '',
    'srun': [0],
}


class StandIns:
    """Runs scripts of launch/ among stand-ins and reads what they called."""

    def __init__(self, folder: pathlib.Path, **plan):
        self.folder = folder
        self.change(**{**PLAN, **plan})
        for place, names in (('bin', HERE), ('worker_bin', ON_WORKERS)):
            (folder / place).mkdir()
            for name in names:
                path = folder / place / name
                path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -E {PROGRAM} {name} "$@"\n')
                path.chmod(0o755)

    def change(self, **plan):
        path = self.folder / 'plan.json'
        path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **plan}))

    def environment(self, **variables):
        path = {'PATH': f'{self.folder / "bin"}:{os.environ["PATH"]}', 'REAL_PATH': os.environ['PATH']}
        return {**path, 'HOME': str(self.folder), 'STAND_INS': str(self.folder), **variables}

    def run(self, script, *args, **variables) -> subprocess.CompletedProcess:
        command = [ROOT / 'launch' / script, *args]
        return subprocess.run(command, env=self.environment(**variables), text=True, capture_output=True, timeout=60)

    def start(self, script, *args, **variables) -> subprocess.Popen:
        """The same in the background, in a process group of its own, as a shell's foreground job is."""
        command = [ROOT / 'launch' / script, *args]
        pipes = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True}
        return subprocess.Popen(command, env=self.environment(**variables), start_new_session=True, **pipes)

    @property
    def calls(self) -> list[dict]:
        path = self.folder / 'calls.jsonl'
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def commands(self, *start, host='') -> list[list[str]]:
        """Arguments of the calls that begin with these words, on the launching machine or on `host`."""
        found = [[call['name'], *call['args']] for call in self.calls if call['host'] == host]
        return [call for call in found if call[: len(start)] == list(start)]

    def mains(self, host) -> list[dict]:
        return [call for call in self.calls if call['host'] == host and call['args'][1:2] == ['ugatit_jax.main']]


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C: the whole foreground process group gets it."""
    os.killpg(process.pid, signal.SIGINT)
