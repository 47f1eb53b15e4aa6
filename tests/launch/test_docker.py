"""docker/Dockerfile without an engine: what its instructions are, and what they would install."""

import fnmatch
import json
import re
import subprocess

import pytest

from tests.helpers.stand_ins import ROOT

FOLDER = ROOT / 'docker'


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments), with continued lines joined."""
    text = re.sub(r'\\\n\s*', '', re.sub('^#.*\n', '', (FOLDER / 'Dockerfile').read_text(), flags=re.MULTILINE))
    return [tuple(line.split(' ', 1)) for line in text.splitlines() if line]


def arguments(name: str) -> list[str]:
    return [value for instruction, value in instructions() if instruction == name]


@pytest.mark.parametrize('device, jax', [('cpu', 'jax'), ('cuda', 'jax[cuda]'), ('tpu', 'jax[tpu]')])
def test_installs_the_pinned_packages_for_a_device(tmp_path, device, jax):
    (tmp_path / 'pip').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'pip').chmod(0o755)
    [command] = [value for value in arguments('RUN') if 'requirements.txt' in value]
    env = {'PATH': f'{tmp_path}:/usr/bin:/bin', 'DEVICE': device}
    result = subprocess.run(['sh', '-c', command], env=env, text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ['install', '--no-cache-dir', '--requirement', 'requirements.txt', jax]
    bad = subprocess.run(['sh', '-c', command], env={**env, 'DEVICE': 'gpu'}, text=True, capture_output=True)
    assert bad.returncode == 2 and bad.stderr == 'DEVICE=gpu is not cpu, cuda or tpu\n' and not bad.stdout


def test_runs_main_as_a_user_that_is_not_root():
    [entry] = arguments('ENTRYPOINT')
    assert json.loads(entry) == ['tini', '--', 'python', '-m', 'ugatit_jax.main']
    assert any('install --yes --no-install-recommends tini' in command for command in arguments('RUN'))
    [user] = arguments('USER')
    assert int(user) > 0 and any(f'useradd --create-home --uid {user}' in command for command in arguments('RUN'))
    names = [name for name, _ in instructions()]
    assert max(i for i, name in enumerate(names) if name == 'RUN') < names.index('USER') < names.index('ENTRYPOINT')


def test_workers_in_the_image_install_nothing():
    assert 'PYTHON=python' in arguments('ENV')[0].split()


def test_packages_are_a_layer_of_their_own():
    steps = [value for name, value in instructions() if name in ('COPY', 'RUN')]
    sources = next(i for i, step in enumerate(steps) if step.startswith('ugatit_jax'))
    assert next(i for i, step in enumerate(steps) if 'requirements.txt "$jax"' in step) < sources


def test_what_is_copied_is_there_and_let_in():
    copied = {source for value in arguments('COPY') for source in value.split()[:-1]}
    assert copied == {'requirements.txt', 'pyproject.toml', 'setup.py', 'README.md', 'ugatit_jax', 'configs', 'launch'}
    assert all((ROOT / source).exists() for source in copied)
    rules = [line for line in (FOLDER / 'Dockerfile.dockerignore').read_text().splitlines() if line and line[0] != '#']
    for name in {path.name for path in ROOT.iterdir()} | copied:
        kept = True
        for rule in rules:
            if fnmatch.fnmatch(name, rule.lstrip('!')):
                kept = rule.startswith('!')
        assert kept == (name in copied), name
