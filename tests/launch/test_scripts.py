"""What all scripts of launch/ have in common, and their calls by the real gcloud's and kubectl's parsers where installed."""

import json
import re
import shlex
import shutil
import subprocess

import pytest

from tests.helpers.stand_ins import ROOT, StandIns

LAUNCH = ROOT / 'launch'
SCRIPTS = sorted(LAUNCH.glob('*.sh'))
SETTINGS = {
    'NAME': 'h2z',
    'ZONE': 'us-west4-a',
    'TYPE': 'v5litepod-16',
    'RUNTIME': 'v2-alpha-tpuv5-lite',
    'WORKDIR': 'gs://bucket/h2z',
}


@pytest.mark.parametrize('script', SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_scripts_are_short_strict_and_pass_arguments_on(script):
    text = script.read_text()
    assert len(text.splitlines()) <= 60
    if script.name == 'common.sh':
        return  # sourced
    assert text.startswith('#!/usr/bin/env bash\n') and '\nset -euo pipefail\n' in text and script.stat().st_mode & 0o111
    assert '"$@"' in text or script.name == 'tpu_slice.sh'


def test_the_linter_sees_all_scripts():
    linted = 'shellcheck --external-sources launch/*.sh benchmarks/*.sh tests/helpers/*.sh .ci/run'
    assert linted in (ROOT / 'Makefile').read_text()
    shellcheck = shutil.which('shellcheck', path=ROOT / '.venv' / 'bin') or shutil.which('shellcheck')
    if not shellcheck:
        pytest.skip('shellcheck is not installed')
    bad = subprocess.run([shellcheck, '-s', 'bash', '-'], input='a=$1; rm $a\n', text=True, capture_output=True)
    assert bad.returncode == 1 and 'SC2086' in bad.stdout  # a word that would be split fails


def commands_of(readme: str, program: str) -> list[str]:
    """Commands of a program in the fenced blocks of a Markdown file, with continued lines joined."""
    blocks = '\n'.join(re.findall(r'^```sh\n(.*?)^```', readme, re.MULTILINE | re.DOTALL)).replace('\\\n', ' ')
    lines = [part.split(' #')[0].strip() for line in blocks.splitlines() for part in line.split('&&')]
    return [line for line in lines if line.split(' ')[0] == program]


def without_text(words: list[str]) -> list[str]:
    return [re.sub('^--(command|filter|format)=.*', r'--\1=x', word) for word in words]


def test_gcloud_knows_every_call(tmp_path):
    """Its own parser, offline: names of commands and flags, and what is required."""
    gcloud = shutil.which('gcloud')
    if not gcloud:
        pytest.skip('gcloud is not installed')
    cloud = StandIns(tmp_path, lives=['ACTIVE', 'FAILED'], runs=['code=75 states=SUSPENDED', 'code=0'])
    cloud.run('tpu_vm.sh', **SETTINGS)
    cloud.close()
    calls = cloud.commands('gcloud') + cloud.commands('gcloud', host='worker-0')
    assert {call[4] for call in calls if call[3] == 'queued-resources'} == {'list', 'create', 'describe', 'delete'}
    lines = {shlex.join(without_text(call)) for call in calls}
    lines |= set(commands_of((LAUNCH / 'README.md').read_text(), 'gcloud'))
    hints = [hint for script in SCRIPTS for hint in re.findall(r'hint: ([^"\']*)', script.read_text())]
    hints = {part.strip() for hint in hints for part in re.split('[;,]', hint) if part.strip().startswith('gcloud ')}
    assert len(hints) > 5
    lines |= hints
    file = tmp_path / 'commands.json'
    file.write_text(json.dumps([{'command_string': line} for line in sorted(lines)]))
    env = {'PATH': '/usr/bin:/bin', 'CLOUDSDK_CONFIG': str(tmp_path / 'gcloud'), 'HOME': str(tmp_path)}
    command = [gcloud, 'meta', 'lint-gcloud-commands', f'--commands-file={file}']
    answer = subprocess.run(command, env=env, text=True, capture_output=True)
    results = json.loads(answer.stdout)
    assert len(results) == len(lines)
    assert not [(result['command_string'], result['error_message']) for result in results if not result['success']]


def test_kubectl_knows_every_call(tmp_path):
    """Its own parser, at an address where no cluster answers."""
    kubectl = shutil.which('kubectl')
    if not kubectl:
        pytest.skip('kubectl is not installed')
    cluster = StandIns(tmp_path, jobset=['h2z/Completed', 'h2z/', 'h2z/Failed'])
    machines = {'IMAGE': 'i', 'ACCELERATOR': 'a', 'TOPOLOGY': '4x4', 'HOSTS': '4', 'CHIPS': '4'}
    cluster.run('gke.sh', **SETTINGS, **machines)
    cluster.run('gke.sh', 'down', NAME='h2z')
    calls = {tuple(call[1:]) for call in cluster.commands('kubectl')}
    assert {call[0] for call in calls} == {'config', 'get', 'create', 'delete', 'logs'}
    for call in calls:
        nowhere = ['--kubeconfig=/dev/null', '--server=http://127.0.0.1:1', '--request-timeout=1s']
        result = subprocess.run([kubectl, *nowhere, *call], input='', text=True, capture_output=True, timeout=60)
        known = re.search('refused|current-context is not set|no objects passed to create', result.stderr)
        assert known and 'unknown' not in result.stderr, (call, result.stderr)


def test_readme_names_every_script_and_setting():
    readme = (LAUNCH / 'README.md').read_text()
    for path in LAUNCH.iterdir():
        if path.suffix in ('.sh', '.yaml') and path.name not in ('common.sh', 'detached.sh', 'gke.yaml', 'gke_gpu.yaml'):
            assert path.name in readme, path.name
    for name in ('CREATE', 'RETRIES', 'CACHE', 'KEEP', 'GRACE', 'SERVICE_ACCOUNT', 'DEVICE', 'RUNTIME', 'WORKDIR'):
        assert name in readme
