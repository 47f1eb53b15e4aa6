"""launch/skypilot.yaml: its scripts are run among stand-ins; SkyPilot reads it where SkyPilot is installed."""

import subprocess

import pytest
import yaml

from tests.helpers.stand_ins import ROOT, StandIns

FILE = ROOT / 'launch' / 'skypilot.yaml'
NODE = {'SKYPILOT_NODE_IPS': '10.0.0.1\n10.0.0.2', 'SKYPILOT_NUM_NODES': '2', 'SKYPILOT_NODE_RANK': '1'}


@pytest.fixture
def task():
    return yaml.safe_load(FILE.read_text())


@pytest.fixture
def node(tmp_path):
    stand_ins = StandIns(tmp_path, workers=['worker-0'])
    (tmp_path / 'worker-0').mkdir()
    yield stand_ins
    stand_ins.close()


def run(node: StandIns, script: str, **variables: str) -> subprocess.CompletedProcess:
    path = f'{node.folder / "worker_bin"}:/usr/bin:/bin'
    env = node.environment(**{**NODE, 'DEVICE': 'cuda', 'WORKDIR': 'gs://b/a run', 'STAND_IN_HOST': 'worker-0', **variables})
    return subprocess.run(
        ['bash', '-c', script], cwd=node.checkout, env={**env, 'PATH': path}, text=True, capture_output=True
    )


def test_spot_machines_are_made_again_and_mistakes_are_not(task):
    assert task['resources']['use_spot'] is True
    assert task['resources']['job_recovery'] == {'recover_on_exit_codes': [75, 134, 143], 'max_restarts_on_errors': 0}
    assert task['envs'] == {'WORKDIR': None, 'ARGS': None, 'DEVICE': 'cuda'}  # None: has to be given


def test_installs_and_trains_with_a_process_a_node(task, node):
    assert run(node, task['setup']).returncode == 0
    assert ['-m', 'pip', 'install', '--quiet', '-r', 'requirements.txt', 'jax[cuda]'] in [
        call.words[1:] for call in node.calls
    ]
    result = run(node, task['run'], ARGS="--config=configs/h2z.py '--config.data.source=folder:/my  images'")
    assert result.returncode == 0, result.stderr
    [main] = node.mains('worker-0')
    assert main.words[3:] == [
        '--distributed',
        '--workdir=gs://b/a run',
        '--compilation_cache=gs://b/a run/compiled',
        '--config=configs/h2z.py',
        '--config.data.source=folder:/my  images',
    ]
    joined = {name: value for name, value in main.environment.items() if name.startswith('JAX_')}
    assert joined == {'JAX_COORDINATOR_ADDRESS': '10.0.0.1:8476', 'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '1'}


def test_on_tpus_jax_finds_the_others_itself(task, node):
    assert run(node, task['setup'], DEVICE='tpu').returncode == 0
    assert run(node, task['run'], DEVICE='tpu', ARGS='').returncode == 0
    [main] = node.mains('worker-0')
    assert not [name for name in main.environment if name.startswith('JAX_')]


@pytest.mark.parametrize('code', [2, 75])
def test_the_exit_code_is_passed_on(task, node, code):
    node.change(runs=[f'code={code}'])
    run(node, task['setup'])
    assert run(node, task['run'], ARGS='').returncode == code


def test_skypilot_reads_it(task):
    sky = pytest.importorskip('sky', reason='pip install skypilot')
    overrides = [('WORKDIR', 'gs://b/r'), ('ARGS', '--config=x')]
    read = sky.Task.from_yaml_config(yaml.safe_load(FILE.read_text()), env_overrides=overrides)
    assert all(resources.use_spot for resources in read.resources)
    task['resources']['use_spott'] = True
    with pytest.raises(ValueError, match='use_spot'):
        sky.Task.from_yaml_config(task, env_overrides=overrides)
