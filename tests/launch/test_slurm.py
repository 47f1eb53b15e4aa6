"""launch/slurm.sh as a job of Slurm's, among stand-ins for srun and scontrol."""

import re
import shutil
import subprocess

import pytest

from tests.helpers.stand_ins import ROOT, StandIns, messages


@pytest.fixture
def job(tmp_path):
    stand_ins = StandIns(tmp_path)
    (tmp_path / 'python').touch(mode=0o755)
    # Slurm runs a copy of the script, in the folder where sbatch was called
    (stand_ins.checkout / 'spool').mkdir()
    shutil.copy(stand_ins.checkout / 'launch' / 'slurm.sh', stand_ins.checkout / 'spool' / 'slurm_script')
    yield stand_ins
    stand_ins.close()


def submit(job: StandIns, *args: str, **variables: str) -> subprocess.CompletedProcess:
    slurm = {
        'SLURM_SUBMIT_DIR': str(job.checkout),
        'SLURM_JOB_ID': '4711',
        'WORKDIR': f'{job.folder}/runs/h2z',
        'PYTHON': f'{job.folder}/python',
    }
    return job.run('../spool/slurm_script', *args, **{**slurm, **variables})


def test_trains_with_a_process_a_node(job):
    given = ['--config=configs/my set.py', "--a=it's $HOME", '']
    result = submit(job, *given, SLURM_GPUS_ON_NODE='4', SLURM_CPUS_PER_TASK='16')
    assert result.returncode == 0, result.stderr
    [call] = [call for call in job.calls if call.words[0] == 'srun']
    assert call.words[1:] == [
        '--kill-on-bad-exit=0',
        '--wait=300',
        '--cpus-per-task=16',
        'launch/worker.sh',
        f'--workdir={job.folder}/runs/h2z',
        *given,
    ]
    assert call.environment['PYTHON'] == f'{job.folder}/python'
    assert (job.folder / 'runs/h2z').is_dir()
    assert not job.commands('scontrol')


def test_without_cpus_per_task_srun_is_not_told(job):
    assert submit(job).returncode == 0
    [call] = [call for call in job.calls if call.words[0] == 'srun']
    assert not any('cpus-per-task' in word for word in call.words)


def test_the_options_of_the_job():
    text = (ROOT / 'launch' / 'slurm.sh').read_text()
    options = re.findall('^#SBATCH (.*)', text, re.MULTILINE)
    assert {'--ntasks-per-node=1', '--requeue', '--open-mode=append', '--signal=TERM@300'} <= set(options)
    # sbatch reads options up to the first command
    assert text.index('set -euo') > max(text.index(option) for option in options)


@pytest.mark.parametrize('code', [75, 143])
def test_a_run_that_can_go_on_is_queued_again(job, code):
    job.change(srun=[str(code)])
    result = submit(job, SLURM_RESTART_COUNT='3')
    assert result.returncode == code and job.commands('scontrol') == [['scontrol', 'requeue', '4711']]


@pytest.mark.parametrize('code', [1, 2, 130, 134])
def test_a_run_that_failed_is_not(job, code):
    job.change(srun=[str(code)])
    assert submit(job).returncode == code and not job.commands('scontrol')


def test_a_job_that_was_cancelled_is_not(job):
    """scancel signals the job's shell, too; so does Slurm where it queues the job again itself."""
    job.change(srun=['75 told'])
    assert submit(job).returncode == 75 and not job.commands('scontrol')


def test_new_starts_are_counted(job):
    job.change(srun=['75'])
    result = submit(job, SLURM_RESTART_COUNT='2', RETRIES='2')
    assert result.returncode == 75 and not job.commands('scontrol') and messages(result) == ['given up after 2 new starts']


def test_a_job_of_an_array_is_a_seed(job):
    assert submit(job, '--config.seed=9', SLURM_ARRAY_TASK_ID='3').returncode == 0
    [words] = job.commands('srun')
    assert words[-3:] == [f'--workdir={job.folder}/runs/h2z/seed3', '--config.seed=3', '--config.seed=9']


def test_mistakes_are_named_before_the_processes_start(job):
    (job.folder / 'file').touch()
    for variables, line in (
        ({'PYTHON': '/none/python'}, 'PYTHON=/none/python is not there; hint: make install'),
        ({'WORKDIR': f'{job.folder}/file/h2z'}, f'WORKDIR={job.folder}/file/h2z cannot be made: mkdir: '),
    ):
        result = submit(job, **variables)
        assert result.returncode == 2
        [message] = messages(result)
        assert message.startswith(line) and '; hint: ' in message
    for name in ('WORKDIR', 'SLURM_SUBMIT_DIR'):
        result = submit(job, **{name: ''})
        assert result.returncode != 0 and f' {name}: ' in result.stderr
    assert not job.commands('srun')


def test_a_bucket_is_no_folder(job):
    assert submit(job, WORKDIR='gs://bucket/h2z').returncode == 0
    assert job.commands('srun')[0][-1] == '--workdir=gs://bucket/h2z' and not (job.checkout / 'gs:').exists()
