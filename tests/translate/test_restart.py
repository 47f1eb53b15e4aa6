"""A long translation that is killed and started again, and two into one folder."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from tests.helpers.paths import ROOT
from tests.helpers.translation import list_files, noise_image

COUNT = 1000


def start(workdir, source, output, *flags):
    """The command in a process of its own."""
    command = [sys.executable, '-m', 'ugatit_jax.translate', f'--checkpoint={workdir}', '--direction=a2b']
    return subprocess.Popen(
        [*command, f'--input={source}', f'--output={output}', *flags],
        cwd=ROOT,
        env=os.environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process):
    """What it printed; it has to succeed."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


def contents(folder):
    return {name: (folder / name).read_bytes() for name in list_files(folder)}


def wait_for_files(folder, count, process):
    """Waits until some results are there."""
    while len(list(folder.glob('*.png')) if folder.exists() else []) < count:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.fixture(scope='module')
def whole(workdir, tmp_path_factory):
    """A folder of images, and their translations without an interruption."""
    folder = tmp_path_factory.mktemp('many')
    (folder / 'in').mkdir()
    for i in range(COUNT):
        Image.fromarray(noise_image(16, 16, seed=i)).save(folder / 'in' / f'{i:04d}.png')
    assert f'{COUNT} of {COUNT} translated' in finish(start(workdir, folder / 'in', folder / 'out'))
    return folder / 'in', contents(folder / 'out')


@pytest.mark.slow  # five processes, and a thousand images
def test_killed_at_random_and_started_again(workdir, whole, tmp_path):
    source, expected = whole
    out, rng = tmp_path / 'out', np.random.default_rng()
    for _ in range(3):
        there = len(list(out.glob('*.png'))) if out.exists() else 0
        process = start(workdir, source, out, '--skip_existing')
        wait_for_files(out, there + int(rng.integers(1, 150)), process)
        process.kill()
        process.communicate()
        for name in list_files(out):
            assert name.endswith('.partial') or (out / name).read_bytes() == expected[name]
    times = {path.name: path.stat().st_mtime_ns for path in out.glob('*.png')}
    assert f', {len(times)} were there already' in finish(start(workdir, source, out, '--skip_existing'))
    assert contents(out) == expected  # and no .partial
    assert {name: (out / name).stat().st_mtime_ns for name in times} == times


@pytest.mark.slow  # as above
def test_two_processes_into_one_folder(workdir, whole, tmp_path):
    source, expected = whole
    first, second = (start(workdir, source, tmp_path / 'out', '--overwrite') for _ in range(2))
    finish(first), finish(second)
    assert contents(tmp_path / 'out') == expected
