"""launch/tpu_vm.sh with what it calls, among stand-ins for gcloud and for the workers."""

import contextlib
import os
import pathlib
import signal
import subprocess

import pytest

from tests.helpers.stand_ins import StandIns, interrupt, messages, wait_for

SETTINGS = {
    'NAME': 'h2z',
    'ZONE': 'us-west4-a',
    'TYPE': 'v5litepod-16',
    'RUNTIME': 'v2-alpha-tpuv5-lite',
    'WORKDIR': 'gs://bucket/h2z',
}
QUEUE = ('gcloud', 'compute', 'tpus', 'queued-resources')
QUOTA = (
    'ERROR: (gcloud.compute.tpus.queued-resources.create) RESOURCE_EXHAUSTED: Quota limit '
    "'TPUV5sPreemptibleLitepodPerProjectPerZoneForTPUAPI' has been exceeded. Limit: 0 in zone us-west4-a."
)


@pytest.fixture
def cloud(tmp_path):
    stand_ins = StandIns(tmp_path)
    yield stand_ins
    stand_ins.close()


def train(cloud: StandIns, *args: str, **variables: str) -> subprocess.CompletedProcess:
    return cloud.run('tpu_vm.sh', *args, **{**SETTINGS, **variables})


def queue(cloud: StandIns) -> list[str]:
    """What was done to the queued resource, in order."""
    return [call[4] for call in cloud.commands(*QUEUE) if call[4] != 'list']


def followed(cloud: StandIns) -> list[str]:
    return [word for call in cloud.commands('gcloud') for word in call if 'detached.sh follow' in word]


def test_creates_waits_installs_trains_on_all_workers_and_deletes(cloud):
    result = train(cloud, '--config=configs/horse2zebra.py')
    assert result.returncode == 0, result.stderr
    order = ['config get project', 'accelerator-types list', 'storage cp', 'storage rm', 'queued-resources create']
    order += ['detached.sh status', 'tpu-vm scp', 'detached.sh start', 'detached.sh follow', 'queued-resources delete']
    called = [' '.join(call) for call in cloud.commands('gcloud')]
    places = [next(i for i, call in enumerate(called) if part in call) for part in order]
    assert places == sorted(places)
    [create] = cloud.commands(*QUEUE, 'create')
    flags = ['--node-id=h2z', '--accelerator-type=v5litepod-16', '--runtime-version=v2-alpha-tpuv5-lite', '--spot']
    assert create[5:] == ['h2z', *flags, '--zone=us-west4-a', '--quiet']
    assert cloud.commands(*QUEUE, 'delete') == [[*QUEUE, 'delete', 'h2z', '--force', '--zone=us-west4-a', '--quiet']]
    for worker in ('worker-0', 'worker-1'):
        [main] = cloud.mains(worker)
        assert main.words[3:] == [
            '--distributed',
            '--workdir=gs://bucket/h2z',
            '--compilation_cache=gs://bucket/h2z/compiled',
            '--config=configs/horse2zebra.py',
        ]
    assert 'start 0 of worker-0' in result.stdout and 'worker-1' not in result.stdout  # the log of one worker
    states = ['h2z is NONE', 'h2z is WAITING_FOR_RESOURCES', 'h2z is PROVISIONING']
    assert messages(result) == [*states, 'deleting h2z']


def test_arguments_arrive_as_they_were_given(cloud):
    given = [
        '--source=folder:/data/my  horses',
        "--b=it's",
        '--c="q" $HOME `id` $(id) \\ *;&|<#~',
        '--d=',
        '',
        '--e=ä',
        '-f=\ttab',
    ]
    result = train(cloud, *given, WORKDIR='gs://bucket/a run/', CACHE='gs://bucket/all programs')
    assert result.returncode == 0, result.stderr
    for worker in ('worker-0', 'worker-1'):
        [main] = cloud.mains(worker)
        assert main.words[4:] == ['--workdir=gs://bucket/a run', '--compilation_cache=gs://bucket/all programs', *given]
    objects = [
        call[3:-1] for call in cloud.commands('gcloud', 'storage') + cloud.commands('gcloud', 'storage', host='worker-1')
    ]
    assert all(words[-1].startswith('gs://bucket/a run/.writable-') for words in objects) and len(objects) == 4


@pytest.mark.parametrize('flags', ['--reserved --service-account=me@x', ''])
def test_flags_of_create_are_passed_on(cloud, flags):
    assert train(cloud, CREATE=flags).returncode == 0
    [create] = cloud.commands(*QUEUE, 'create')
    assert create[9:-2] == flags.split()


def test_what_the_workers_install(cloud):
    assert train(cloud).returncode == 0
    calls = [call.words[1:] for call in cloud.calls if call.host == 'worker-1' and call.words[0] != 'gcloud']
    pip = ['-m', 'pip', 'install', '--quiet']
    assert calls[1:4] == [
        ['-m', 'venv', '.venv'],
        [*pip, '-r', 'requirements.txt', 'jax[tpu]'],
        [*pip, '--no-deps', '--editable', '.'],
    ]


def test_workers_with_an_old_python_get_another(cloud):
    cloud.change(python_is_old='1')
    assert train(cloud).returncode == 0
    calls = [' '.join(call) for call in cloud.commands('python3', host='worker-0')]
    assert 'python3 -m pip install --quiet --user uv' in calls
    assert 'python3 -m uv venv --quiet --clear --seed --python=3.11 .venv' in calls
    assert not [call for call in calls if '-m venv' in call]


def test_a_preempted_slice_is_made_again_and_the_run_goes_on(cloud):
    cloud.change(
        lives=['ACTIVE', 'WAITING_FOR_RESOURCES,ACTIVE'],
        runs=['code=75 states=SUSPENDING,SUSPENDED', 'code=0'],
    )
    result = train(cloud, '--config=configs/my set.py')
    assert result.returncode == 0, result.stderr
    assert queue(cloud) == ['create', 'delete', 'create', 'delete']
    first, second = cloud.commands(*QUEUE, 'create')
    assert first == second
    for worker in ('worker-0', 'worker-1'):
        first, second = cloud.mains(worker)
        assert first.words == second.words and second.words[-1] == '--config=configs/my set.py'
    assert 'h2z: preempted; new start 1' in messages(result)


def test_a_preemption_without_notice(cloud):
    """The slice goes while main runs: no exit code, no answer by ssh."""
    cloud.change(lives=['ACTIVE', 'ACTIVE'], runs=['code=0 until=never', 'code=0'])
    process = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: followed(cloud))
    cloud.change(states=['SUSPENDED'])
    (cloud.folder / 'never').touch()  # the process ends with its machine
    (cloud.folder / 'worker-0' / 'ugatit_jax' / '.worker' / 'exit_code').unlink(missing_ok=True)
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and 'h2z: preempted; new start 1' in errors
    assert queue(cloud) == ['create', 'delete', 'create', 'delete'] and len(cloud.mains('worker-1')) == 2


def test_a_node_that_is_gone_is_a_preemption_though_the_queue_says_active(cloud):
    """A worker whose peer was preempted ends with 1, before the queue says why."""
    cloud.change(lives=['ACTIVE', 'ACTIVE'], runs=['code=1', 'code=0'], nodes=['READY', 'PREEMPTED', 'PREEMPTED', 'READY'])
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert queue(cloud) == ['create', 'delete', 'create', 'delete']


@pytest.mark.parametrize('code', [75, 134, 137, 143])
def test_a_run_that_can_go_on_is_started_again_on_the_same_slice(cloud, code):
    cloud.change(runs=[f'code={code}', 'code=0'])
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert f'h2z: exit code {code}; new start 1' in messages(result)
    assert queue(cloud) == ['create', 'delete'] and len(cloud.mains('worker-1')) == 2
    assert (
        len([call for call in cloud.calls if call.host == 'worker-0' and 'requirements.txt' in call.words]) == 1
    )  # still there


@pytest.mark.parametrize('code', [1, 2, 130])
def test_a_run_that_failed_is_not_started_again(cloud, code):
    cloud.change(runs=[f'code={code}'])
    assert train(cloud).returncode == code
    assert len(cloud.mains('worker-0')) == 1 and queue(cloud) == ['create', 'delete']
    calls = [' '.join(call.words) for call in cloud.calls if call.host == '']
    status = max(i for i, call in enumerate(calls) if 'detached.sh status' in call)
    assert calls[status + 1] == 'sleep 30' and 'queued-resources list' in calls[status + 2]  # a preemption is seen late


def test_new_starts_are_counted(cloud):
    cloud.change(lives=['ACTIVE'] * 4, runs=['code=75 states=SUSPENDED'] * 4)
    result = train(cloud, RETRIES='2')
    assert result.returncode == 75 and messages(result)[-2:] == [
        'h2z: preempted; given up after 2 new starts',
        'deleting h2z',
    ]
    assert queue(cloud) == ['create', 'delete'] * 3


def refused_before_creation(cloud: StandIns, line: str, **variables: str) -> None:
    """One line, exit code 2, and no queued resource."""
    result = train(cloud, **variables)
    assert result.returncode == 2
    [message] = messages(result)
    assert line in message and '; hint: ' in message
    assert not queue(cloud)


def test_no_project(cloud):
    cloud.change(project='')
    refused_before_creation(cloud, 'gcloud has no project; hint: gcloud config set project')


@pytest.mark.parametrize('kind', ['v4-8', 'v5litepod-1', 'v5litepod-.*'])
def test_a_zone_without_that_type(cloud, kind):
    refused_before_creation(
        cloud, f'zone us-west4-a has no {kind}, only: v5litepod-8 v5litepod-16; hint: gcloud compute', TYPE=kind
    )


def test_a_zone_that_cannot_be_asked(cloud):
    cloud.refuse('gcloud compute tpus accelerator-types list', 'ERROR: Permission denied on locations/us-west4-a')
    refused_before_creation(
        cloud, 'TPUs of zone us-west4-a cannot be listed; hint: gcloud services enable tpu.googleapis.com'
    )


@pytest.mark.parametrize('workdir', ['runs/h2z', 'gs://', '/gs://bucket'])
def test_a_workdir_that_is_no_bucket(cloud, workdir):
    refused_before_creation(cloud, ' is not gs://BUCKET/FOLDER; hint: ', WORKDIR=workdir)


@pytest.mark.parametrize('command', ['cp', 'rm'])
def test_a_bucket_that_cannot_be_written(cloud, command):
    cloud.refuse(f'gcloud storage {command}', 'Copying...\nERROR: (gcloud.storage) gs://bucket not found: 404.\nmore')
    line = 'your account cannot write gs://bucket/h2z: ERROR: (gcloud.storage) gs://bucket not found: 404.; hint: gcloud'
    refused_before_creation(cloud, line)


@pytest.mark.parametrize('name', ['NAME', 'ZONE', 'TYPE', 'RUNTIME', 'WORKDIR'])
def test_a_missing_setting_is_named(cloud, name):
    result = train(cloud, **{name: ''})
    assert result.returncode not in (0, 75) and f' {name}: ' in result.stderr and not cloud.calls


def test_a_machine_without_gcloud(cloud):
    needed = cloud.folder / 'needed'
    needed.mkdir()
    for name in ('bash', 'dirname', 'env'):
        (needed / name).symlink_to(f'/usr/bin/{name}')
    refused_before_creation(cloud, 'gcloud is not installed; hint: https://', PATH=str(needed))


def test_quota_that_is_refused_at_once(cloud):
    cloud.refuse('gcloud compute tpus queued-resources create', f'{QUOTA}\n- more lines')
    result = train(cloud)
    hint = 'hint: another ZONE or TYPE, or console.cloud.google.com/iam-admin/quotas'
    assert result.returncode == 2 and f'no v5litepod-16 in us-west4-a: {QUOTA}; {hint}' in messages(result)
    assert 'delete' not in queue(cloud)  # nothing was made


def test_quota_that_is_refused_later(cloud):
    cloud.change(lives=['WAITING_FOR_RESOURCES,FAILED'], failure='Quota exhausted')
    result = train(cloud)
    assert result.returncode == 2 and 'no v5litepod-16 in us-west4-a: Quota exhausted; hint: another ZONE' in result.stderr
    assert queue(cloud) == ['create', 'describe', 'delete']


@pytest.mark.parametrize('error, hint', [('PERMISSION_DENIED: no', 'roles/tpu.admin'), ('bad flag', "CREATE='--spot'")])
def test_other_refusals(cloud, error, hint):
    cloud.refuse('gcloud compute tpus queued-resources create', f'ERROR: {error}')
    result = train(cloud)
    assert result.returncode == 2 and f'ERROR: {error}; hint: ' in result.stderr and hint in result.stderr


def test_a_worker_that_cannot_write_the_bucket(cloud):
    cloud.refuse('gcloud storage cp', 'ERROR: 403 no access', host='worker-1')
    result = train(cloud)
    assert result.returncode == 2 and messages(result)[-3:] == [
        'worker worker-1 cannot write gs://bucket/h2z: ERROR: 403 no access; hint: gcloud storage buckets create '
        'gs://bucket --location=REGION, or roles/storage.objectUser on it for worker worker-1',
        'no start on the workers of h2z; hint: see above',
        'deleting h2z',  # it would be billed
    ]
    assert not cloud.mains('worker-1') and queue(cloud) == ['create', 'delete']


def test_workers_that_cannot_be_reached(cloud):
    cloud.refuse('gcloud compute tpus tpu-vm ssh', 'ERROR: [ssh] exited with return code [255].', code=255)
    result = train(cloud)
    assert result.returncode == 2 and '[255]' in result.stderr and queue(cloud) == ['create', 'delete']
    assert 'no start on the workers of h2z; hint: ssh-add ~/.ssh/google_compute_engine, a firewall rule' in result.stderr


def test_a_slice_that_is_preempted_before_the_start(cloud):
    cloud.change(lives=['ACTIVE', 'ACTIVE'], nodes=['READY', 'PREEMPTED', 'PREEMPTED', 'READY'])
    cloud.refuse('gcloud compute tpus tpu-vm scp', 'ERROR: NOT_FOUND', times=1)
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert 'h2z was lost; new start 1' in messages(result)
    assert queue(cloud) == ['create', 'delete', 'create', 'delete'] and len(cloud.mains('worker-0')) == 1


def test_an_answer_that_does_not_come_is_waited_for(cloud):
    cloud.refuse('gcloud compute tpus queued-resources list', 'ERROR: timeout', times=2)
    result = train(cloud)
    assert result.returncode == 0, result.stderr
    assert 'h2z is UNKNOWN' in messages(result) and queue(cloud) == ['create', 'delete']


def test_ctrl_c_leaves_the_run_and_the_same_command_attaches(cloud):
    cloud.change(runs=['code=0 until=released'])
    first = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: followed(cloud) and len(cloud.mains('worker-1')) == 1)
    interrupt(first)
    errors = first.communicate(timeout=30)[1]
    assert first.returncode == 130 and queue(cloud) == ['create']
    assert 'ugatit_jax: h2z stays, billed; go on: the same command; stop: NAME=h2z ZONE=us-west4-a' in errors

    before = len(followed(cloud))
    second = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: len(followed(cloud)) > before)
    (cloud.folder / 'released').touch()
    output, errors = second.communicate(timeout=30)
    assert second.returncode == 0, errors
    assert 'start 0 of worker-0' in output  # the log from its first line
    assert len(cloud.mains('worker-0')) == 1 and len(cloud.mains('worker-1')) == 1 and queue(cloud) == ['create', 'delete']


def test_a_lost_connection_is_taken_up_again(cloud):
    cloud.change(runs=['code=0 until=released'])
    process = cloud.start('tpu_vm.sh', **SETTINGS)
    wait_for(lambda: followed(cloud) and len(cloud.mains('worker-0')) == 1)
    cloud.refuse('gcloud compute tpus tpu-vm ssh', 'lost', times=3, code=255)
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):  # the connection breaks; what runs on the worker does not
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            words = path.read_bytes()
            if b'follow' in words and str(cloud.folder / 'bin' / 'gcloud').encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)
    wait_for(lambda: len([words for words in followed(cloud) if words.endswith('follow 20')]) == 2)
    (cloud.folder / 'released').touch()
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == 0, errors
    assert len(cloud.mains('worker-0')) == 1 and 'new start' not in errors and queue(cloud) == ['create', 'delete']


def test_keep_and_down(cloud):
    assert train(cloud, KEEP='1').returncode == 0 and queue(cloud) == ['create']
    down = cloud.run('tpu_vm.sh', 'down', NAME='h2z', ZONE='us-west4-a')
    assert down.returncode == 0 and queue(cloud) == ['create', 'delete']
    again = cloud.run('tpu_vm.sh', 'down', NAME='h2z', ZONE='us-west4-a')
    assert again.returncode == 0 and messages(again) == ['h2z is not there'] and queue(cloud) == ['create', 'delete']


def test_a_slice_that_cannot_be_deleted_is_named(cloud):
    cloud.refuse('gcloud compute tpus queued-resources delete', 'ERROR: busy')
    line = messages(train(cloud))[-1]
    assert line.startswith('h2z was not deleted and may be billed: ERROR: busy; hint: NAME=h2z ZONE=us-west4-a ')


def test_only_what_is_committed_goes_along(cloud):
    (cloud.checkout / 'launch' / 'new').write_text('')
    result = train(cloud, KEEP='1')
    assert result.returncode == 0 and messages(result)[0] == 'uncommitted changes stay here: workers get the last commit'
    there = cloud.folder / 'worker-1' / 'ugatit_jax' / 'launch'
    assert (there / 'worker.sh').exists() and not (there / 'new').exists()
