"""A run whose workdir, data and compilation cache are on a bucket, which an emulator on this machine stands in for."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import fsspec
import numpy as np
import pytest

from tests.helpers.bucket import Bucket
from tests.helpers.command import LONG, SMALL, main
from tests.helpers.image_files import make_folder
from tests.helpers.paths import ROOT
from tests.helpers.small import default_config
from ugatit_jax import run_page
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.step_folder import DamagedCheckpoint
from ugatit_jax.common import files
from ugatit_jax.common.command import run_command
from ugatit_jax.common.errors import UserError
from ugatit_jax.convert.__main__ import main as convert
from ugatit_jax.data import open_datasets, prepare
from ugatit_jax.data.sources.folder import FolderSource
from ugatit_jax.data.sources.prepared import PreparedSource
from ugatit_jax.training import lease as lease_module
from ugatit_jax.training import mirror as mirror_module
from ugatit_jax.training.lease import Lease
from ugatit_jax.training.metric_writer import MEASURED
from ugatit_jax.training.mirror import Mirror
from ugatit_jax.translate.__main__ import main as translate

DATA = '--config.data.source=folder:gs://bucket/data'
NO_INCEPTION = '--config.evaluation.inception_weights=none'
SPLITS = {'trainA': 5, 'trainB': 4, 'testA': 2, 'testB': 2}


@pytest.fixture(scope='module')
def bucket(tmp_path_factory):
    """A bucket with a data set in data/; this process uses it, too."""
    folder = tmp_path_factory.mktemp('bucket')
    with Bucket(folder) as emulator, pytest.MonkeyPatch.context() as patch:
        for name in emulator.env.keys() - os.environ.keys():
            patch.setenv(name, emulator.env[name])
        patch.setitem(fsspec.config.conf, 'gcs', {'token': 'anon'})
        emulator.folder = make_folder(folder / 'data', SPLITS)
        emulator.upload(emulator.folder, 'data')
        yield emulator


def run_killed(bucket: Bucket, *flags: str) -> subprocess.CompletedProcess:
    """tests.helpers.killed_run with these arguments."""
    command = [sys.executable, '-m', 'tests.helpers.killed_run', *flags]
    return subprocess.run(command, cwd=ROOT, env=bucket.env, text=True, capture_output=True)


@pytest.fixture(scope='module')
def trained(bucket):
    """gs://bucket/run: SIGKILL in the save of step 4, then to the end, by a step that only counts; the second's stderr."""
    # no preview between the first and the last, as rows are copied with them
    flags = ('--config=configs/default.py', '--workdir=gs://bucket/run', *SMALL, '--config.training.preview_every=100', DATA)
    killed = run_killed(bucket, '--counting', 'saving', '4', *flags)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    before = bucket.names('run/')
    ended = run_killed(bucket, '--counting', 'stepping', '0', *flags)
    assert ended.returncode == 0, ended.stderr
    return before, ended.stderr


def rows_of(content: bytes) -> list[dict]:
    """Rows of a JSON Lines file without what the clock decides."""
    return [{k: v for k, v in json.loads(line).items() if k not in MEASURED} for line in content.splitlines()]


def test_a_killed_run_goes_on_from_the_bucket(trained, bucket):
    before, said = trained
    assert 'run/checkpoints/2/commit_success.txt' in before and 'run/lease.json' in before
    assert 'run/checkpoints/4/commit_success.txt' not in before  # killed before it was complete
    assert 'continuing from step 2 of gs://bucket/run/checkpoints' in said and 'Traceback' not in said
    assert Checkpoints('gs://bucket/run').steps()[-1] == 6
    assert [row['step'] for row in rows_of(bucket.read('run/metrics.jsonl'))] == [1, 2, 3, 4, 5, 6]
    events = [json.loads(line)['event'] for line in bucket.read('run/history.jsonl').splitlines()]
    assert events == ['started', 'resumed', 'finished']


def test_everything_of_a_run_is_on_the_bucket_and_nothing_elsewhere(trained, bucket):
    names = bucket.names('run/')
    assert [name for name in names if name.startswith('run/previews/')] == [
        f'run/previews/{step:08d}.png' for step in (0, 6)
    ]
    assert 'run/report.html' in names and 'finished: step 6 of 6' in bucket.read('run/report.html').decode()
    assert 'run/lease.json' not in names and not [name for name in names if name.endswith('.partial')]
    assert not (ROOT / 'gs:').exists()
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    steps = set()
    for name in names:
        if '/events.out.tfevents' in name:
            path = pathlib.Path(bucket.log.parent / pathlib.PurePosixPath(name).name)
            path.write_bytes(bucket.read(name))
            steps |= {event.step for event in EventFileLoader(str(path)).Load()}
    assert {1, 2, 3, 4, 5, 6} <= steps  # those before the kill, too


def test_translate_convert_and_the_page_read_from_the_bucket(trained, bucket, tmp_path, capsys):
    bucket.request('DELETE', '/storage/v1/b/bucket/o/run%2Freport.html')
    assert run_page.main(['gs://bucket/run']) == 0
    assert 'gs://bucket/run/report.html' in capsys.readouterr().out
    assert '<title>run' in bucket.read('run/report.html').decode()
    source = str(bucket.folder / 'testA')
    for model in ('gs://bucket/run', 'gs://bucket/run/checkpoints/6'):
        output = tmp_path / model.rpartition('/')[2]
        assert translate([f'--checkpoint={model}', '--direction=a2b', f'--input={source}', f'--output={output}']) == 0
        assert len(list(output.rglob('*.png'))) == SPLITS['testA']
    assert convert(['--from=gs://bucket/run', f'--to={tmp_path / "x.safetensors"}']) == 0
    assert (tmp_path / 'x.safetensors').stat().st_size > 10_000


def test_a_damaged_checkpoint_is_set_aside_on_the_bucket(trained, bucket):
    for name in bucket.names('run/checkpoints/6/'):
        bucket.write(name.replace('run/', 'aside/', 1), bucket.read(name))
    checkpoints = Checkpoints('gs://bucket/aside')
    assert checkpoints.steps() == [6]
    said = checkpoints.set_aside(6, DamagedCheckpoint(checkpoints.directory / '6', ' is damaged'), 4)
    assert said == 'gs://bucket/aside/checkpoints/6 is damaged; renamed to 6.damaged, the run continues from step 4'
    kept = [name.partition('/6.damaged/')[2] for name in bucket.names('aside/')]
    assert kept == [name.partition('/6/')[2] for name in bucket.names('run/checkpoints/6/')] and '' not in kept
    assert checkpoints.steps() == []


def test_images_in_a_bucket_are_those_of_the_folder(bucket):
    bucket.write('data/trainA/', b'')  # marks a folder, as the console makes it
    bucket.write('data/trainA/.hidden/x.png', b'x')
    bucket.write('data/trainA/notes.txt', b'x')
    local, remote = (FolderSource(f'{root}/trainA', 3) for root in (bucket.folder, 'gs://bucket/data'))
    assert remote.keys == local.keys
    for i in range(len(local)):
        np.testing.assert_array_equal(remote.read(i), local.read(i))
    before = remote.fingerprint()
    bucket.write('data/trainA/000.png', bucket.read('data/trainA/001.png'))
    assert FolderSource('gs://bucket/data/trainA', 3).fingerprint() != before
    with pytest.raises(UserError, match='data.source=folder:gs://bucket/nowhere: no such folder'):
        open_datasets(default_config(data__source='folder:gs://bucket/nowhere'))


def test_a_listing_shows_what_others_have_written(bucket):
    folder = files.absolute('gs://bucket/listed')
    for name in ('a', 'b'):
        bucket.write(f'listed/{name}', b'x')
        assert sorted(path.name for path in folder.iterdir())[-1] == name


def test_prepared_images_in_a_bucket(bucket, tmp_path):
    places = str(tmp_path / 'prepared'), 'gs://bucket/prepared'
    for place in places:
        prepare.prepare('folder:gs://bucket/data', place)
    local, remote = (PreparedSource(place, 'trainB', 3) for place in places)
    assert len(local) == len(remote) == SPLITS['trainB']
    for i in range(len(local)):
        np.testing.assert_array_equal(remote.read(i), local.read(i))


def test_a_second_run_is_refused_and_a_dead_one_of_another_machine_is_replaced(bucket, monkeypatch):
    monkeypatch.setattr(lease_module, 'SETTLE_SECONDS', 0.1)
    monkeypatch.setattr(lease_module, 'EXPIRY_SECONDS', 1.0)
    with Lease('gs://bucket/held'):
        with pytest.raises(UserError, match='gs://bucket/held: training by process'), Lease('gs://bucket/held'):
            pass
        held = json.loads(bucket.read('held/lease.json'))
    assert 'held/lease.json' not in bucket.names()
    bucket.write('held/lease.json', json.dumps(held | {'machine': 'ff'}).encode())
    started = time.monotonic()
    with Lease('gs://bucket/held') as lease:
        assert time.monotonic() - started > 1
        assert json.loads(bucket.read('held/lease.json'))['token'] == lease.token


def test_a_bucket_that_is_not_there_is_one_line(bucket):
    result = main('--workdir=gs://no-such-bucket/run', *SMALL)
    lines = [line for line in result.stderr.splitlines() if line.startswith('ugatit_jax: ')]
    assert result.returncode == 2 and 'Traceback' not in result.stderr
    assert len(lines) == 1 and lines[0].startswith(
        'ugatit_jax: --workdir=gs://no-such-bucket/run cannot be written: there is no bucket gs://no-such-bucket; hint: '
        'gcloud storage buckets create gs://no-such-bucket, or roles/storage.objectUser'
    )


def test_a_bucket_that_refuses_is_one_line(monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError('Forbidden: https://storage\nno permission')

    monkeypatch.setattr(files, 'write_bytes', refuse)
    with pytest.raises(UserError, match='gs://bucket/run cannot be written: Forbidden: https://storage; hint: .*objectUser'):
        files.validate_writable('gs://bucket/run')


def test_packages_that_are_missing_are_named(monkeypatch, capsys):
    monkeypatch.setattr(files, 'is_installed', lambda module: module != 'gcsfs')
    for command in (
        lambda: translate(['--checkpoint=gs://b/x', '--direction=a2b', '--input=a', '--output=b']),
        lambda: run_page.main(['gs://b/x']),
    ):
        assert command() == 2
        assert capsys.readouterr().err == 'ugatit_jax: gs://b/x needs gcsfs; hint: pip install -e .[gcs]\n'


def test_a_bucket_that_does_not_answer_is_no_mistake_of_the_user(capsys):
    from gcsfs.retry import HttpError

    def fail() -> None:
        raise HttpError({'code': 503, 'message': 'backend error\nand more'})

    assert run_command(fail) == 1  # launchers try again
    assert capsys.readouterr().err == 'ugatit_jax: a bucket cannot be used: HttpError: backend error; try again later\n'


def test_files_are_copied_whole_when_they_changed(bucket, monkeypatch, caplog):
    written = []
    monkeypatch.setattr(
        mirror_module, 'write_bytes', lambda path, content: (written.append(path.name), files.write_bytes(path, content))
    )
    bucket.write('copied/metrics.jsonl', b'{"step": 1}\n')
    mirror = Mirror('gs://bucket/copied', ('metrics.jsonl', 'evaluation.jsonl'))
    mirror.copy()
    assert written == []  # what was fetched is there
    with (mirror.folder / 'metrics.jsonl').open('a') as file:
        file.write('{"step": 2}\n')
    (mirror.folder / 'previews').mkdir()
    (mirror.folder / 'previews' / '2.png').write_bytes(b'x')
    for _ in range(2):
        mirror.copy()
    assert written == ['metrics.jsonl', '2.png']
    assert (
        bucket.read('copied/metrics.jsonl') == b'{"step": 1}\n{"step": 2}\n' and bucket.read('copied/previews/2.png') == b'x'
    )

    def fail(*_: object) -> None:
        raise OSError('backend error')

    (mirror.folder / 'metrics.jsonl').write_text('')
    with monkeypatch.context() as patch:
        patch.setattr(mirror_module, 'write_bytes', fail)
        mirror.copy()
    assert 'gs://bucket/copied is not up to date (backend error); the training goes on' in caplog.text
    mirror.close()
    assert bucket.read('copied/metrics.jsonl') == b'' and not mirror.folder.exists()


def test_rows_reach_the_bucket_while_the_run_goes_on(bucket, monkeypatch):
    monkeypatch.setattr(mirror_module, 'COPY_SECONDS', 0.05)
    with contextlib.closing(Mirror('gs://bucket/live', ())) as mirror:
        (mirror.folder / 'metrics.jsonl').write_text('{"step": 1}\n')
        deadline = time.monotonic() + 20
        while 'live/metrics.jsonl' not in bucket.names('live/') and time.monotonic() < deadline:
            time.sleep(0.05)
        assert bucket.read('live/metrics.jsonl') == b'{"step": 1}\n'


@pytest.mark.slow  # four starts
def test_killed_and_continued_from_a_bucket_equals_a_local_run(bucket, tmp_path):
    """Bit for bit, with the data on the bucket, too; and it can be evaluated from there."""
    bucket.upload(bucket.folder, 'unchanged')
    flags = (*LONG, '--config.training.checkpoint_every=10', NO_INCEPTION)
    data = '--config.data.source=folder:gs://bucket/unchanged'
    there = '--config=configs/default.py', '--workdir=gs://bucket/real', *flags, data
    killed = run_killed(bucket, 'saving', '20', *there)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ended = run_killed(bucket, 'stepping', '0', *there)
    assert ended.returncode == 0 and 'continuing from step 10 of' in ended.stderr, ended.stderr
    alone = main(f'--workdir={tmp_path}', *flags, f'--config.data.source=folder:{bucket.folder}')
    assert alone.returncode == 0, alone.stderr
    assert rows_of(bucket.read('real/metrics.jsonl')) == rows_of((tmp_path / 'metrics.jsonl').read_bytes())
    assert bucket.read('real/previews/00000040.png') == (tmp_path / 'previews' / '00000040.png').read_bytes()
    ours, theirs = (Checkpoints(str(place)).folder(40).checksums['arrays'] for place in ('gs://bucket/real', tmp_path))
    assert ours == theirs
    evaluated = run_killed(bucket, 'stepping', '0', *there, '--mode=eval')
    assert evaluated.returncode == 0, evaluated.stderr
    assert 'real/evaluation/40-fidelity/metrics.json' in bucket.names('real/evaluation/')
