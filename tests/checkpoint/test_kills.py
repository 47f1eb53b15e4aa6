"""SIGKILL at random instants over the save: the newest checkpoint is one that was written, bit for bit."""

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

KILLS = 100

# forks a child for each part, so that imports are paid for once; nothing but the children starts JAX's backend
SCRIPT = """
import os, random, signal, sys, time, traceback
import numpy as np
import jax, jax.numpy as jnp
from tests.helpers.small import default_config
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.config.resolve import resolve
from ugatit_jax.common.sharding import StateSharding, make_mesh

workdir, kills = sys.argv[1], int(sys.argv[2])
config = resolve(default_config())

def items_of(step):
    rng = np.random.default_rng(step)
    leaf = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)
    return {'generators': {'raw': {'genA2B': {'k': leaf(200, 300)}}, 'ema': {}},
            'training': {'step': jnp.asarray(step), 'mu': leaf(300, 500), 'nu': [leaf(7), leaf(90, 400)]}}

def restored():
    shapes = jax.eval_shape(lambda: items_of(0))
    with Checkpoints(workdir, keep=2, clean=True) as checkpoints:
        found = checkpoints.restore_newest(shapes, config, StateSharding(make_mesh(1)))
    if found is None:
        return 0
    assert not found.set_aside, found.set_aside
    jax.tree.map(np.testing.assert_array_equal, found.items, items_of(found.step))
    return found.step

def save_for_ever(pipe):
    step = restored()
    os.write(pipe, b'r%d\\n' % step)
    with Checkpoints(workdir, keep=2, clean=True) as checkpoints:
        while True:
            step += 1
            checkpoints.save(step, items_of(step), config, {})
            checkpoints.latest()
            os.write(pipe, b's%d\\n' % step)

rng, saved = random.Random(), 0
for kill in range(kills):
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            save_for_ever(writer)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(writer)
    lines = os.fdopen(reader)
    begun = lines.readline()
    assert begun.startswith('r'), 'the checkpoint cannot be read'
    assert int(begun[1:]) >= saved, (begun, saved)  # nothing that was complete is lost
    saved = int(begun[1:])
    for line in lines:  # let it save some, then kill it at any instant of the next
        saved = int(line[1:])
        if rng.random() < 0.5:
            break
    time.sleep(rng.random() * 0.3)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for line in lines:
        saved = int(line[1:]) if line.endswith('\\n') else saved
if not (child := os.fork()):
    os._exit(0 if restored() >= saved else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(kills, 'kills, step', saved)
"""


@pytest.mark.parametrize('kills', [pytest.param(KILLS, marks=pytest.mark.slow)])  # some seconds each
def test_killed_over_the_save(kills, tmp_path):
    command = [sys.executable, '-W', 'ignore', '-c', SCRIPT, str(tmp_path), str(kills)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith(f'{kills} kills')
