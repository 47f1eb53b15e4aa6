"""launch/tpu_vm.sh and what it calls, among stand-ins: no cloud was asked."""

import subprocess
import time

import pytest

from tests.helpers.stand_ins import StandIns, interrupt

SETTINGS = {
    'NAME': 'h2z',
    'ZONE': 'us-west4-a',
    'TYPE': 'v5litepod-16',
    'RUNTIME': 'v2-alpha-tpuv5-lite',
    'WORKDIR': 'gs://bucket/h2z',
}
QUEUE = ('gcloud', 'compute', 'tpus', 'queued-resources')
TPU = ('gcloud', 'compute', 'tpus', 'tpu-vm')
# what a mistake is answered with: one line with a hint, and nothing was created
MISTAKES = {
    'no project': ({'project': ''}, {}, 'gcloud has no project; hint: gcloud config set project'),
    'no such type': ({}, {'TYPE': 'v4-8'}, 'us-west4-a has no v4-8, only: v5litepod-8 v5litepod-16; hint: gcloud compute tpus'),
    'part of a type': ({}, {'TYPE': 'v5litepod-1'}, 'has no v5litepod-1, only'),
    'no such zone': (
        {'refuse': {'gcloud compute tpus accelerator-types list': {'error': 'ERROR: permission denied on location'}}},
        {},
        'TPUs of zone us-west4-a cannot be listed; hint: gcloud services enable tpu.googleapis.com',
    ),
    'a local workdir': ({}, {'WORKDIR': 'runs/h2z'}, 'WORKDIR=runs/h2z is not gs://BUCKET/FOLDER; hint: '),
    'no such bucket': (
        {'refuse': {'gcloud storage cp': {'error': 'ERROR: (gcloud.storage.cp) gs://bucket not found: 404.'}}},
        {},
        'your account cannot write gs://bucket/h2z: ERROR: (gcloud.storage.cp) gs://bucket not found: 404.; hint: gcloud storage '
        'buckets create gs://bucket --location=REGION, or roles/storage.objectUser',
    ),
    'a bucket to add to only': (
        {'refuse': {'gcloud storage rm': {'error': 'ERROR: User [u] does not have permission to delete'}}},
        {},
        'your account cannot write gs://bucket/h2z: ERROR: User [u] does not have permission to delete; hint: ',
    ),
}


@pytest.fixture
def cloud(tmp_path):
    return StandIns(tmp_path)


def train(cloud, *args, **variables) -> subprocess.CompletedProcess:
    return cloud.run('tpu_vm.sh', *args, **{**SETTINGS, **variables})


def messages(result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith('ugatit_jax: ')]


def test_creates_waits_trains_on_all_workers_and_deletes(cloud):
    result = train(cloud, '--config=configs/horse2zebra.py')
    assert result.returncode == 0, result.stderr
    called = [' '.join(call[1:]) for call in cloud.commands('gcloud')]
    order = ['config get project', 'accelerator-types list', 'storage cp', 'storage rm', 'queued-resources create', 'detached.sh status']
    order += ['tpu-vm scp', 'detached.sh start', 'detached.sh follow', 'queued-resources delete']
    places = [next(i for i, call in enumerate(called) if part in call) for part in order]
    assert places == sorted(places)
    [create] = cloud.commands(*QUEUE, 'create')
    flags = ['--node-id=h2z', '--accelerator-type=v5litepod-16', '--runtime-version=v2-alpha-tpuv5-lite', '--spot']
    assert create[5:] == ['h2z', *flags, '--zone=us-west4-a', '--quiet']
    assert cloud.commands(*QUEUE, 'delete') == [[*QUEUE, 'delete', 'h2z', '--force', '--zone=us-west4-a', '--quiet']]
    for worker in ('worker-0', 'worker-1'):
        [main] = cloud.mains(worker)
        assert main['environment']['DEVICE'] == 'tpu'
        assert main['args'][2:] == [
            '--distributed',
            '--workdir=gs://bucket/h2z',
            '--compilation_cache=gs://bucket/h2z/compiled',
            '--config=configs/horse2zebra.py',
        ]
    assert 'start 0 of worker-0' in result.stdout and 'worker-1' not in result.stdout  # the log of one worker
    assert messages(result)[:4] == [f'ugatit_jax: h2z is {state}' for state in ('NONE', 'WAITING_FOR_RESOURCES', 'PROVISIONING')] + [
        'ugatit_jax: deleting h2z'
    ]


def test_arguments_arrive_as_they_were_given(cloud):
    given = ['--config.data.source=folder:/data/my horses', '--a=two  spaces', "--b=it's", '--c="q" $HOME `id` \\ *;&|', '--d=', '--e=ä']
    result = train(cloud, *given, WORKDIR='gs://bucket/a run/', CACHE='gs://bucket/all programs')
    assert result.returncode == 0, result.stderr
    for worker in ('worker-0', 'worker-1'):
        [main] = cloud.mains(worker)
        assert main['args'][3:] == ['--workdir=gs://bucket/a run', '--compilation_cache=gs://bucket/all programs', *given]


def test_flags_of_create_are_given_on(cloud):
    train(cloud, CREATE='--reserved --service-account=me@x')
    train(cloud, CREATE='')
    cloud.change(lives=[['ACTIVE']], runs=[{'code': 0}], started={})
    flags = [call[9:-2] for call in cloud.commands(*QUEUE, 'create')]
    assert flags[0] == ['--reserved', '--service-account=me@x'] and flags[1:] in ([[]], [])


def test_what_the_workers_install(cloud):
    assert train(cloud).returncode == 0
    calls = [call['args'] for call in cloud.calls if call['host'] == 'worker-1' and call['name'] != 'gcloud']
    pip = ['-m', 'pip', 'install', '--quiet']
    assert calls[1:4] == [
        ['-m', 'venv', '.venv'],
        [*pip, '-r', 'requirements.txt', 'jax[tpu]'],
        [*pip, '--no-deps', '--editable', '.'],
    ]


def test_an_old_python_on_the_workers_is_replaced(cloud):
    cloud.change(python_is_old=True)
    assert train(cloud).returncode == 0
    calls = [' '.join(call['args']) for call in cloud.calls if call['host'] == 'worker-0' and call['name'] == 'python3']
    assert '-m pip install --quiet --user uv' in calls
    assert '-m uv venv --quiet --clear --seed --python=3.11 .venv' in calls and '-m venv .venv' not in calls


def test_a_preempted_slice_is_made_again_and_the_run_goes_on(cloud):
    saved = {'code': 75, 'states': ['SUSPENDING', 'SUSPENDED']}
    cloud.change(lives=[['ACTIVE'], ['WAITING_FOR_RESOURCES', 'ACTIVE']], runs=[saved, {'code': 0}])
    result = train(cloud, '--config=configs/my set.py')
    assert result.returncode == 0, result.stderr
    steps = [call[4] for call in cloud.commands(*QUEUE) if call[4] != 'list']
    assert steps == ['create', 'delete', 'create', 'delete']
    creates = cloud.commands(*QUEUE, 'create')
    assert creates[0] == creates[1]
    for worker in ('worker-0', 'worker-1'):
        first, second = cloud.mains(worker)
        assert first['args'] == second['args'] and second['args'][-1] == '--config=configs/my set.py'
    assert 'ugatit_jax: h2z: preempted; new start 1' in messages(result)


def test_a_node_that_is_gone_is_a_preemption_though_the_queue_says_active(cloud):
    cloud.change(lives=[['ACTIVE'], ['ACTIVE']], runs=[{'code': 1}, {'code': 0}], nodes=['READY', 'READY', 'PREEMPTED', 'PREEMPTED', 'READY'])
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert [call[4] for call in cloud.commands(*QUEUE) if call[4] != 'list'] == ['create', 'delete', 'create', 'delete']


@pytest.mark.parametrize('code', [75, 134, 137, 143])
def test_a_run_that_can_go_on_is_started_again_on_the_same_slice(cloud, code):
    cloud.change(runs=[{'code': code}, {'code': 0}])
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert f'ugatit_jax: h2z: exit code {code}; new start 1' in messages(result)
    assert len(cloud.commands(*QUEUE, 'create')) == 1 and len(cloud.mains('worker-1')) == 2
    pip = [call for call in cloud.calls if call['host'] == 'worker-0' and 'requirements.txt' in call['args']]
    assert len(pip) == 1  # the slice stayed, what is installed stays


@pytest.mark.parametrize('code', [1, 2, 130])
def test_a_run_that_failed_is_not_started_again(cloud, code):
    cloud.change(runs=[{'code': code}])
    result = train(cloud)
    assert result.returncode == code
    assert len(cloud.mains('worker-0')) == 1 and len(cloud.commands(*QUEUE, 'delete')) == 1


def test_new_starts_are_counted(cloud):
    saved = {'code': 75, 'states': ['SUSPENDED']}
    cloud.change(lives=[['ACTIVE']] * 4, runs=[saved] * 4)
    result = train(cloud, RETRIES='2')
    assert result.returncode == 75 and 'h2z: preempted; given up after 2 new starts' in messages(result)[-2]
    assert len(cloud.commands(*QUEUE, 'create')) == 3
    assert cloud.commands(*QUEUE)[-1][4] != 'create'


@pytest.mark.parametrize('case', MISTAKES)
def test_mistakes_end_before_anything_is_billed(cloud, case):
    plan, variables, line = MISTAKES[case]
    cloud.change(**plan)
    result = train(cloud, **variables)
    assert result.returncode == 2
    [message] = messages(result)
    assert line in message
    assert not [call for call in cloud.commands(*QUEUE) if call[4] != 'list']


@pytest.mark.parametrize('name', ['NAME', 'ZONE', 'TYPE', 'RUNTIME', 'WORKDIR'])
def test_missing_settings_are_named(cloud, name):
    result = train(cloud, **{name: ''})
    assert result.returncode not in (0, 75) and f'{name}: ' in result.stderr and not cloud.calls


def test_a_machine_without_gcloud(tmp_path):
    cloud = StandIns(tmp_path)
    (tmp_path / 'bin' / 'gcloud').unlink()
    result = train(cloud, PATH=f'{tmp_path / "bin"}:/bin')
    if '/usr/bin/gcloud' in result.stderr or result.returncode != 2:
        pytest.skip('gcloud lies in /bin here')
    assert 'gcloud is not installed; hint: https://' in result.stderr


REFUSED = "ERROR: (gcloud.compute.tpus.queued-resources.create) RESOURCE_EXHAUSTED: Quota limit 'TPUV5sPreemptibleLitepodPer\
ProjectPerZoneForTPUAPI' has been exceeded. Limit: 0 in zone us-west4-a."


def test_quota_that_is_refused_at_once(cloud):
    cloud.change(refuse={'gcloud compute tpus queued-resources create': {'error': f'{REFUSED}\n- more lines'}})
    result = train(cloud)
    assert result.returncode == 2
    line = f'no v5litepod-16 in us-west4-a: {REFUSED}; hint: another ZONE or TYPE, or console.cloud.google.com/iam-admin/quotas'
    assert f'ugatit_jax: {line}' in messages(result)
    assert not cloud.commands(*QUEUE, 'delete')  # nothing was made


def test_quota_that_is_refused_later(cloud):
    cloud.change(lives=[['WAITING_FOR_RESOURCES', 'FAILED']], failure='Quota exhausted')
    result = train(cloud)
    assert result.returncode == 2 and 'no v5litepod-16 in us-west4-a: Quota exhausted; hint: another ZONE' in result.stderr
    assert [call[4] for call in cloud.commands(*QUEUE) if call[4] != 'list'] == ['create', 'describe', 'delete']


@pytest.mark.parametrize('error, hint', [('PERMISSION_DENIED: no', 'roles/tpu.admin'), ('bad flag', "CREATE='--spot'")])
def test_other_refusals(cloud, error, hint):
    cloud.change(refuse={'gcloud compute tpus queued-resources create': {'error': f'ERROR: {error}'}})
    result = train(cloud)
    assert result.returncode == 2 and f'ERROR: {error}; hint: ' in result.stderr and hint in result.stderr


def test_workers_that_cannot_write_the_bucket(cloud):
    cloud.change(refuse={'gcloud storage cp': {'error': 'ERROR: 403 no access', 'host': 'worker-1'}})
    result = train(cloud)
    assert result.returncode == 2
    assert (
        'ugatit_jax: worker worker-1 cannot write gs://bucket/h2z: ERROR: 403 no access; hint: gcloud storage buckets create '
        'gs://bucket --location=REGION, or roles/storage.objectUser on it for worker worker-1'
    ) in messages(result)
    assert not cloud.mains('worker-1') and len(cloud.commands(*QUEUE, 'delete')) == 1  # the slice is not left to be billed


def test_workers_that_cannot_be_reached(cloud):
    cloud.change(refuse={'gcloud compute tpus tpu-vm ssh': {'error': 'ERROR: [ssh] exited with return code [255].', 'code': 255}})
    result = train(cloud)
    assert result.returncode == 2 and 'no ssh to h2z (above); hint: ssh-add' in result.stderr
    assert '[255]' in result.stderr and len(cloud.commands(*QUEUE, 'delete')) == 1


def test_a_slice_that_is_preempted_before_the_start(cloud):
    cloud.change(lives=[['ACTIVE', 'SUSPENDING', 'SUSPENDED'], ['ACTIVE']])
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert 'ugatit_jax: h2z was lost; new start 1' in messages(result)
    assert len(cloud.commands(*QUEUE, 'create')) == 2 and len(cloud.mains('worker-0')) == 1


def test_an_answer_that_does_not_come_is_waited_for(cloud):
    cloud.change(refuse={'gcloud compute tpus queued-resources list': {'error': 'ERROR: timeout', 'times': 2}})
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert 'ugatit_jax: h2z is UNKNOWN' in messages(result) and len(cloud.commands(*QUEUE, 'create')) == 1


def wait_for(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_ctrl_c_leaves_the_run_and_the_same_command_attaches(cloud):
    cloud.change(runs=[{'code': 0, 'until': 'released'}])
    first = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: len(cloud.mains('worker-0')) == 1 and any('follow' in call['args'][-3] for call in cloud.calls if len(call['args']) > 3))
    interrupt(first)
    output, errors = first.communicate(timeout=30)
    assert first.returncode == 130 and not cloud.commands(*QUEUE, 'delete')
    assert 'ugatit_jax: h2z stays, billed; go on: the same command; stop: NAME=h2z ZONE=us-west4-a' in errors

    second = cloud.start('tpu_vm.sh', **SETTINGS)
    follows = len([call for call in cloud.calls if 'follow' in str(call['args'])])
    wait_for(lambda: len([call for call in cloud.calls if 'follow' in str(call['args'])]) > follows)
    (cloud.folder / 'released').touch()
    output, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert 'start 0 of worker-0' in output  # the whole log
    assert len(cloud.mains('worker-0')) == 1 and len(cloud.mains('worker-1')) == 1
    assert len(cloud.commands(*QUEUE, 'create')) == 1 and len(cloud.commands(*QUEUE, 'delete')) == 1


def test_a_lost_connection_is_taken_up_again(cloud):
    cloud.change(
        runs=[{'code': 0, 'until': 'released'}],
        refuse={'gcloud compute tpus tpu-vm ssh h2z --x': {}},
    )
    process = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: len([call for call in cloud.calls if 'follow' in str(call['args'])]) == 1)
    cloud.change(refuse={'gcloud compute tpus tpu-vm ssh': {'error': 'lost', 'code': 255, 'times': 3}})
    # the connection breaks: the stand-in for ssh ends, what it started on the worker does not
    for pid in children(process.pid):
        subprocess.run(['kill', '-KILL', str(pid)], check=False)
    wait_for(lambda: len([call for call in cloud.calls if 'follow 20' in str(call['args'])]) >= 2)
    (cloud.folder / 'released').touch()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert len(cloud.mains('worker-0')) == 1 and 'new start' not in errors


def children(pid: int) -> list[int]:
    found = subprocess.run(['ps', '-o', 'pid=', '--ppid', str(pid)], text=True, capture_output=True).stdout.split()
    return [int(child) for child in found]


def test_keep_and_down(cloud):
    result = train(cloud, KEEP='1')
    assert result.returncode == 0 and not cloud.commands(*QUEUE, 'delete')
    down = cloud.run('tpu_vm.sh', 'down', NAME='h2z', ZONE='us-west4-a')
    assert down.returncode == 0 and len(cloud.commands(*QUEUE, 'delete')) == 1
    again = cloud.run('tpu_vm.sh', 'down', NAME='h2z', ZONE='us-west4-a')
    assert again.returncode == 0 and len(cloud.commands(*QUEUE, 'delete')) == 1 and 'h2z is not there' in again.stderr


def test_a_slice_that_cannot_be_deleted_is_named(cloud):
    cloud.change(refuse={'gcloud compute tpus queued-resources delete': {'error': 'ERROR: busy'}})
    result = train(cloud)
    assert 'h2z was not deleted and may be billed: ERROR: busy; hint: NAME=h2z ZONE=us-west4-a' in messages(result)[-1]
