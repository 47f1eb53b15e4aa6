"""python -m ugatit_jax.main in processes of its own, with a shrunken config, and what a run leaves."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from tests.helpers.paths import ROOT
from ugatit_jax.training.metric_writer import MEASURED

SMALL = (
    '--config.data.image_size=32',
    '--config.data.batch_size=2',
    '--config.model.n_layers_global=4',
    '--config.model.n_layers_local=3',
    '--config.model.ch=2',
    '--config.model.n_res=1',
    '--config.training.steps=6',
    '--config.training.log_every=1',
    '--config.training.checkpoint_every=2',
    '--config.training.preview_every=3',
    '--config.training.preview_images=2',
    '--config.evaluation.every=0',
    '--config.evaluation.effnet=False',
)

LONG = (
    *SMALL,
    '--config.training.steps=40',
    '--config.training.preview_every=20',
    '--config.training.ema_decay=0.9',
    '--config.training.keep_checkpoints=2',
)


def main(*flags: str, config: str = 'configs/default.py', devices: int = 1) -> subprocess.CompletedProcess:
    """Runs the command to its end."""
    env = {**os.environ, 'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} --xla_force_host_platform_device_count={devices}'}
    return subprocess.run(
        [sys.executable, '-m', 'ugatit_jax.main', f'--config={config}', *flags],
        cwd=ROOT,
        env=env,
        text=True,
        capture_output=True,
    )


# forks a child for each command, so that imports are paid for once; nothing but the children starts JAX's backend
FORKING = """
import json, os, sys, tempfile
from ugatit_jax import main
for flags in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile('w+') as errors:
        if not (child := os.fork()):
            os.dup2(errors.fileno(), 2)
            sys.argv = ['main', *flags]
            code = main.main()
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        errors.seek(0)
        print(json.dumps([code, errors.read()]), flush=True)
"""


def main_each(*commands: tuple[str, ...]) -> list[tuple[int, str]]:
    """(exit code, stderr) of the command with each of these flags, all from one process."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', FORKING, json.dumps(commands)],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    return [tuple(json.loads(line)) for line in result.stdout.splitlines()]


class Run:
    """The command in a process whose lines can be waited for."""

    def __init__(self, workdir: pathlib.Path, *flags: str):
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'ugatit_jax.main', '--config=configs/default.py', f'--workdir={workdir}', *flags],
            cwd=ROOT,
            text=True,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        self.lines = []

    def wait_for(self, text: str) -> None:
        """Reads stderr until a line has the text."""
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f'no {text!r} in\n' + ''.join(self.lines))

    def end(self, number: int) -> tuple[int, str]:
        """Sends the signal and returns the exit code and all of stderr."""
        self.process.send_signal(number)
        rest = self.process.communicate(timeout=120)[1]
        return self.process.returncode, ''.join(self.lines) + rest


def metrics_of(workdir: pathlib.Path) -> list[dict]:
    """Rows of metrics.jsonl without the clock's."""
    rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in MEASURED} for row in rows]


def without_rho(rows: list[dict]) -> list[dict]:
    """Rows without rho: Adam's first steps follow the signs of its tiny gradients, which rounding decides."""
    return [{k: v for k, v in row.items() if not k.startswith('rho_')} for row in rows]


def weights_of(workdir: pathlib.Path) -> dict[str, np.ndarray]:
    """Everything in the newest checkpoint."""
    import jax

    from ugatit_jax.checkpoint.checkpoints import Checkpoints

    checkpoints = Checkpoints(str(workdir))
    items = checkpoints.manager.restore(checkpoints.latest())
    return {
        jax.tree_util.keystr(p): np.asarray(x)
        for p, x in jax.tree.leaves_with_path({'generators': items['generators'], 'training': items['training']})
    }
