"""launch/gke.sh and its manifests, among stand-ins for kubectl and gcloud; the manifests by the JobSet API's own models."""

import copy
import re
import subprocess

import pytest
import yaml
from kubeflow_trainer_api.models.jobset_v1alpha2_job_set import JobsetV1alpha2JobSet
from pydantic import ValidationError

from tests.helpers.stand_ins import ROOT, StandIns, interrupt, messages, wait_for

TPU = {
    'NAME': 'h2z',
    'WORKDIR': 'gs://bucket/h2z',
    'IMAGE': 'region-docker.pkg.dev/p/r/ugatit_jax:tpu',
    'ACCELERATOR': 'tpu-v5-lite-podslice',
    'TOPOLOGY': '4x4',
    'HOSTS': '4',
    'CHIPS': '4',
}
GPU = {**TPU, 'DEVICE': 'cuda', 'ACCELERATOR': 'nvidia-l4', 'TOPOLOGY': '', 'HOSTS': '2', 'CHIPS': '8'}
CREATE = ('kubectl', 'create')


@pytest.fixture
def cluster(tmp_path):
    stand_ins = StandIns(tmp_path, jobset=['', 'h2z/', 'h2z/Completed'])
    yield stand_ins
    stand_ins.close()


def train(cluster: StandIns, *args: str, **variables: str) -> subprocess.CompletedProcess:
    return cluster.run('gke.sh', *args, **{**TPU, **variables})


def manifest(cluster: StandIns, *args: str, **variables: str) -> dict:
    result = cluster.run('gke_manifest.sh', *args, **variables)
    assert result.returncode == 0, result.stderr
    assert not re.search(r'(?<!\$)\$\{', result.stdout.split('\n', 1)[1])  # nothing left to fill in
    return yaml.safe_load(result.stdout)


def valid(job_set: dict) -> bool:
    """Whether the API's models take it and know every field of it: they drop those that they do not know."""
    return JobsetV1alpha2JobSet.from_dict(copy.deepcopy(job_set)).to_dict() == job_set


def job(job_set: dict) -> dict:
    return job_set['spec']['replicatedJobs'][0]['template']['spec']


def pod(job_set: dict) -> dict:
    return job(job_set)['template']['spec']


@pytest.mark.parametrize('settings', [TPU, GPU], ids=['tpu', 'gpu'])
def test_manifests_are_valid_job_sets(cluster, settings):
    job_set = manifest(cluster, **settings)
    assert job_set['apiVersion'] == 'jobset.x-k8s.io/v1alpha2' and job_set['kind'] == 'JobSet'
    assert valid(job_set)
    for path in (
        ('failurePolicy',),
        ('replicatedJobs', 0, 'template', 'spec', 'podFailurePolicy', 'rules', 0, 'onExitCodes'),
    ):
        misspelt = copy.deepcopy(job_set)
        place = misspelt['spec']
        for part in path:
            place = place[part]
        place['maxRestart'] = 1
        assert not valid(misspelt)
    pod(job_set)['containers'][0]['command'] = 'launch/worker.sh'  # not a list
    with pytest.raises(ValidationError):
        valid(job_set)


@pytest.mark.parametrize('settings', [TPU, GPU], ids=['tpu', 'gpu'])
def test_who_is_started_again_and_who_is_not(cluster, settings):
    job_set = manifest(cluster, RETRIES='7', **settings)
    policy = job_set['spec']['failurePolicy']
    assert policy['maxRestarts'] == 7
    # a mistake fails the job by its pod failure policy, and that fails the JobSet; what no rule names restarts it
    [rule] = policy['rules']
    assert rule['action'] == 'FailJobSet' and rule['onJobFailureReasons'] == ['PodFailurePolicy']
    [rule] = job(job_set)['podFailurePolicy']['rules']
    codes = rule['onExitCodes']
    assert rule['action'] == 'FailJob' and codes['operator'] == 'In' and codes['values'] == [2, 130]
    assert codes['containerName'] == pod(job_set)['containers'][0]['name']
    assert job(job_set)['backoffLimit'] == 0 and pod(job_set)['restartPolicy'] == 'Never'


def test_time_to_save_and_the_cache_on_the_bucket(cluster):
    job_set = manifest(cluster, **TPU)
    assert pod(job_set)['terminationGracePeriodSeconds'] == 600
    assert pod(manifest(cluster, GRACE='1200', **TPU))['terminationGracePeriodSeconds'] == 1200
    args = pod(job_set)['containers'][0]['args']
    assert args == ['--workdir=gs://bucket/h2z', '--compilation_cache=gs://bucket/h2z/compiled']
    other = pod(manifest(cluster, CACHE='gs://bucket/programs', **TPU))['containers'][0]['args']
    assert other[1] == '--compilation_cache=gs://bucket/programs'


def test_a_tpu_slice(cluster):
    job_set = manifest(cluster, **TPU)
    assert job(job_set)['parallelism'] == job(job_set)['completions'] == 4 and job(job_set)['completionMode'] == 'Indexed'
    assert job_set['metadata']['annotations'] == {
        'alpha.jobset.sigs.k8s.io/exclusive-topology': 'cloud.google.com/gke-nodepool'
    }
    assert pod(job_set)['nodeSelector'] == {
        'cloud.google.com/gke-tpu-accelerator': 'tpu-v5-lite-podslice',
        'cloud.google.com/gke-tpu-topology': '4x4',
    }
    [container] = pod(job_set)['containers']
    assert container['resources']['limits'] == {'google.com/tpu': 4} and container['securityContext']['privileged'] is True
    assert container['command'] == ['tini', '--', 'launch/worker.sh'] and container['image'] == TPU['IMAGE']


def test_gpu_nodes(cluster):
    job_set = manifest(cluster, **GPU)
    assert job(job_set)['parallelism'] == job(job_set)['completions'] == 2
    assert pod(job_set)['nodeSelector'] == {'cloud.google.com/gke-accelerator': 'nvidia-l4'}
    [container] = pod(job_set)['containers']
    assert container['resources']['limits'] == {'nvidia.com/gpu': 8} and 'securityContext' not in container
    values = {variable['name']: variable.get('value') for variable in container['env']}
    assert values == {
        'JAX_COORDINATOR_ADDRESS': 'h2z-train-0-0.h2z:8476',
        'JAX_NUM_PROCESSES': '2',
        'JAX_PROCESS_ID': None,
        'JAX_LOCAL_DEVICE_IDS': '0,1,2,3,4,5,6,7',
    }
    index = next(variable for variable in container['env'] if variable['name'] == 'JAX_PROCESS_ID')
    assert index['valueFrom']['fieldRef']['fieldPath'] == "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def as_kubernetes_reads(text: str) -> str:
    """$$ is $ and $(NAME) a variable's value, here that of every variable."""
    return re.sub(r'\$(\$|\(\w+\))', lambda match: '$' if match[1] == '$' else 'EXPANDED', text)


def test_arguments_arrive_as_they_were_given(cluster):
    given = [
        '--a=two  spaces',
        "--b='s",
        '--c="q" $HOME $(HOME) $$x \\n \\',
        '--d=',
        '',
        '--e=ä',
        '--f=a\nb\tc',
        '--g=${NAME} # x',
        '-y: no',
    ]
    container = pod(manifest(cluster, *given, **TPU))['containers'][0]
    assert [as_kubernetes_reads(arg) for arg in container['args'][2:]] == given


@pytest.mark.parametrize('name', ['123', 'true', 'h2z'])
def test_names_stay_text(cluster, name):
    assert manifest(cluster, **{**TPU, 'NAME': name})['metadata']['name'] == name


def test_checks_creates_follows_and_ends_with_the_run(cluster):
    result = train(cluster, '--config=configs/my set.py')
    assert result.returncode == 0, result.stderr
    steps = [' '.join(call) for call in cluster.commands('kubectl') + cluster.commands('gcloud')]
    assert [call.split(' --')[0] for call in steps[:4]] == [
        'kubectl config current-context',
        'kubectl get crd jobsets.jobset.x-k8s.io',
        'kubectl get nodes',
        'kubectl get jobset h2z',
    ]
    assert len(cluster.commands('gcloud', 'storage')) == 2
    [create] = [call for call in cluster.calls if call.words[:2] == list(CREATE)]
    assert yaml.safe_load(create.stdin) == manifest(cluster, '--config=configs/my set.py', **TPU)
    [logs] = cluster.commands('kubectl', 'logs')
    assert '--follow' in logs and '--tail=-1' in logs
    assert '--selector=jobset.sigs.k8s.io/jobset-name=h2z,batch.kubernetes.io/job-completion-index=0' in logs
    assert 'a line of the log' in result.stdout and not cluster.commands('kubectl', 'delete')


def test_the_log_is_taken_up_again_after_a_restart(cluster):
    cluster.change(jobset=['', 'h2z/', 'h2z/', 'h2z/', 'h2z/Completed'])
    assert train(cluster).returncode == 0
    first, *later = cluster.commands('kubectl', 'logs')
    assert '--tail=-1' in first and len(later) == 2
    assert all(any(word.startswith('--since-time=') for word in call) for call in later)


@pytest.mark.parametrize('codes, code', [('75 2 75', 2), ('75 134', 75), ('143', 143), ('12 1', 1), ('', 1)])
def test_a_run_that_failed(cluster, codes, code):
    cluster.change(jobset=['', 'h2z/', 'h2z/Failed'], exit_codes=codes)
    result = train(cluster)
    assert result.returncode == code
    assert (
        messages(result)[-1].startswith(f'h2z failed, exit codes: {codes}') and '; hint: kubectl describe' in result.stderr
    )


def test_attaches_to_a_live_run_and_replaces_one_that_has_ended(cluster):
    cluster.change(jobset=['h2z/', 'h2z/', 'h2z/Completed'])
    assert train(cluster).returncode == 0 and not cluster.commands(*CREATE)
    cluster.change(jobset=['h2z/Failed', 'h2z/', 'h2z/Completed'])
    assert train(cluster).returncode == 0
    assert [call[1] for call in cluster.commands('kubectl') if call[1] in ('create', 'delete')] == ['delete', 'create']


def test_a_run_that_somebody_deleted(cluster):
    cluster.change(jobset=['', 'h2z/', ''])
    result = train(cluster)
    assert result.returncode == 2 and 'h2z was deleted; hint: ' in result.stderr


def test_down(cluster):
    assert cluster.run('gke.sh', 'down', NAME='h2z').returncode == 0
    assert cluster.commands('kubectl') == [['kubectl', 'delete', 'jobset', 'h2z', '--ignore-not-found']]


def test_ctrl_c_leaves_the_run(cluster):
    cluster.change(jobset=['', 'h2z/'])
    process = cluster.start('gke.sh', **TPU)
    wait_for(lambda: len(cluster.commands('kubectl', 'logs')) > 1)
    interrupt(process)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and 'h2z runs on; go on: the same command; stop: NAME=h2z' in errors
    assert not cluster.commands('kubectl', 'delete')


@pytest.mark.parametrize(
    'start, line',
    [
        ('kubectl config current-context', 'no cluster: error: why; hint: gcloud container clusters get-credentials'),
        ('kubectl get crd', 'the cluster knows no JobSet: error: why; hint: jobset.sigs.k8s.io/docs/installation'),
        ('gcloud storage cp', 'your account cannot write gs://bucket/h2z: error: why; hint: gcloud storage buckets create'),
        ('kubectl create', 'h2z was not created: error: why; hint: '),
    ],
)
def test_refusals_are_one_line_with_a_hint(cluster, start, line):
    cluster.refuse(start, 'error: why\nmore')
    result = train(cluster)
    assert result.returncode == 2
    [message] = messages(result)
    assert message.startswith(line)
    assert start == 'kubectl create' or not cluster.commands(*CREATE)


def test_no_project(cluster):
    cluster.change(project='')
    result = train(cluster)
    assert result.returncode == 2 and 'gcloud has no project; hint: ' in result.stderr and not cluster.commands(*CREATE)


def test_a_cluster_without_such_nodes_is_named(cluster):
    cluster.change(kube_nodes='')
    result = train(cluster)
    assert result.returncode == 0  # it may make them on demand
    assert (
        'no node has cloud.google.com/gke-tpu-accelerator=tpu-v5-lite-podslice,cloud.google.com/gke-tpu-topology=4x4'
        in result.stderr
    )
    cluster.change(jobset=['', 'h2z/Completed'])
    assert 'no node has cloud.google.com/gke-accelerator=nvidia-l4 yet; hint: ' in train(cluster, **GPU).stderr


@pytest.mark.parametrize('name', ['NAME', 'WORKDIR', 'IMAGE', 'ACCELERATOR', 'HOSTS', 'CHIPS', 'TOPOLOGY'])
def test_a_missing_setting_is_named(cluster, name):
    result = train(cluster, **{name: ''})
    assert result.returncode != 0 and f' {name}: ' in result.stderr and not cluster.calls


@pytest.mark.parametrize('name, value', [('HOSTS', 'four'), ('GRACE', '10m'), ('DEVICE', 'gpu')])
def test_a_bad_setting_is_named(cluster, name, value):
    result = train(cluster, **{name: value})
    assert result.returncode == 2 and f'{name}={value} is not ' in result.stderr and not cluster.calls


def test_templates_are_yaml_and_name_the_settings_in_use():
    for name in ('gke.yaml', 'gke_gpu.yaml'):
        text = (ROOT / 'launch' / name).read_text()
        assert yaml.safe_load(text)['kind'] == 'JobSet'
