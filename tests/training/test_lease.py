"""One process at a time: a lease that names its holder, outlives a stall, and does not outlive its holder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.helpers.paths import ROOT
from ugatit_jax.common.errors import UserError
from ugatit_jax.training import lease as module
from ugatit_jax.training.lease import NAME, Lease

HOLD = (
    'import sys, time; from ugatit_jax.training.lease import Lease; '
    'Lease(sys.argv[1]).__enter__(); print(1, flush=True); time.sleep(99)'
)


@pytest.fixture
def quick(monkeypatch):
    """A second in a hundredth."""
    for name in ('RENEW_SECONDS', 'EXPIRY_SECONDS', 'POLL_SECONDS', 'SETTLE_SECONDS'):
        monkeypatch.setattr(module, name, getattr(module, name) / 100)


def elsewhere(folder, **fields):
    """A lease of a process on another machine, as it lies in the folder."""
    held = {'token': 'x', 'host': 'other', 'since': 'noon', 'renewals': 1, 'machine': 'ff', 'pid': 17, 'started': '5'}
    (folder / NAME).write_text(json.dumps(held | fields))


def test_a_second_holder_is_refused_with_host_process_and_time(tmp_path):
    with Lease(str(tmp_path)), pytest.raises(UserError) as error, Lease(str(tmp_path)):
        pass
    held = f'training by process {os.getpid()} on {os.uname().nodename} since 20'
    assert str(error.value).startswith(f'{tmp_path}: {held}') and '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())  # the first gave it back
    with Lease(str(tmp_path)):
        pass


def test_the_lease_of_a_killed_process_does_not_hold(tmp_path):
    holder = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with pytest.raises(UserError, match=f'process {holder.pid} on '), Lease(str(tmp_path)):
        pass
    holder.send_signal(signal.SIGKILL)  # and not waited for: it is a zombie
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    started = time.monotonic()
    with Lease(str(tmp_path)):
        assert time.monotonic() - started < 1
    holder.wait()


def test_a_process_that_got_the_same_id_later_does_not_hold_it(tmp_path):
    with Lease(str(tmp_path)) as first:
        content = first.content()
    (tmp_path / NAME).write_text(json.dumps(content | {'started': '1'}))
    with Lease(str(tmp_path)):
        pass


def test_another_machine_is_watched_for_a_sign_of_life(tmp_path, quick, caplog):
    elsewhere(tmp_path)
    started = time.monotonic()
    with Lease(str(tmp_path)) as mine:
        assert time.monotonic() - started > module.EXPIRY_SECONDS
        assert json.loads((tmp_path / NAME).read_text())['token'] == mine.token
    assert 'process 17 on other since noon: waiting up to' in caplog.text

    elsewhere(tmp_path)
    alive = threading.Timer(0.1, lambda: elsewhere(tmp_path, renewals=2))
    alive.start()
    with pytest.raises(UserError, match='process 17 on other since noon'), Lease(str(tmp_path)):
        pass
    assert json.loads((tmp_path / NAME).read_text())['renewals'] == 2


@pytest.mark.parametrize('content', [b'', b'\xff\xfe', b'[' * 100_000, b'{"pid": "x"}', b'null'])
def test_a_damaged_lease_is_watched_and_then_taken(tmp_path, quick, content):
    (tmp_path / NAME).write_bytes(content)
    started = time.monotonic()
    with Lease(str(tmp_path)):
        assert time.monotonic() - started > module.EXPIRY_SECONDS


def test_it_is_renewed_and_one_who_stood_still_finds_out(tmp_path, quick):
    with Lease(str(tmp_path)) as mine:
        before = mine.renewals
        time.sleep(4 * module.RENEW_SECONDS)
        assert mine.renewals > before
        mine.validate()
        mine.ended.set()
        mine.thread.join()  # stands still
        elsewhere(tmp_path)
        time.sleep(module.EXPIRY_SECONDS)
        with pytest.raises(UserError, match='process 17 on other since noon has taken over'):
            mine.validate()
    assert json.loads((tmp_path / NAME).read_text())['token'] == 'x'  # not ours to remove


def test_of_many_that_start_at_once_one_gets_it(tmp_path):
    elsewhere(tmp_path, machine=module.this_process().machine, pid=2**22 + 1)  # of a dead process
    got, start = [], threading.Barrier(8)

    def run():
        start.wait()
        lease = Lease(str(tmp_path))
        try:
            lease.acquire()
            got.append(lease)
        except UserError:
            pass

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_of_two_on_a_bucket_the_later_writer_stays(tmp_path, quick, monkeypatch):
    """Without locks both may write; after a while they look again."""
    monkeypatch.setattr(module, 'is_remote', lambda path: True)
    outcome, start = [], threading.Barrier(2)
    read = module.read

    def read_together(path):
        found = read(path)
        if found is None:
            start.wait()
        return found

    monkeypatch.setattr(module, 'read', read_together)

    def run():
        try:
            Lease(str(tmp_path)).acquire()
            outcome.append('has it')
        except UserError:
            outcome.append('refused')

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome) == ['has it', 'refused']


def test_a_clock_that_goes_back_changes_nothing(tmp_path, quick, monkeypatch):
    with Lease(str(tmp_path)) as mine:
        monkeypatch.setattr(time, 'time', lambda: 0.0)
        mine.renew()
        mine.validate()
