"""What an installed package has."""

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The files that a wheel would have."""
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [sys.executable, 'setup.py', '-q', 'egg_info', f'--egg-base={folder}', 'build_py', f'--build-lib={folder / "lib"}'],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder / 'lib'


def test_it_has_all_modules_templates_and_configs(installed):
    def files(folder, pattern):
        return {str(path.relative_to(folder)) for path in folder.rglob(pattern)}

    for pattern in ('*.py', '*.html'):
        assert files(ROOT / 'ugatit_jax', pattern) <= files(installed / 'ugatit_jax', pattern)
    assert files(ROOT / 'configs', '*.py') == files(installed / 'ugatit_jax' / 'configs', '*.py')
    assert [path.name for path in installed.iterdir()] == ['ugatit_jax']


def test_its_command_finds_configs_by_name_in_any_folder(installed, tmp_path):
    """A setting of 0 steps shows that the file was found and read; nothing is trained."""
    result = subprocess.run(
        [
            sys.executable,
            '-m',
            'ugatit_jax.main',
            '--config=ablation:gn,cat2dog',
            '--config.training.steps=0',
            '--workdir=w',
        ],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(installed)},
        text=True,
        capture_output=True,
    )
    assert result.returncode == 2 and result.stderr.startswith('ugatit_jax: config: training.steps=0 '), result.stderr
