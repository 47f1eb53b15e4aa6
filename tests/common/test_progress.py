"""Lines before and during long work."""

import json
import logging

import pytest

from ugatit_jax.common import progress
from ugatit_jax.common.progress import Progress, announced, read_times, spoken, track


@pytest.fixture(autouse=True)
def clock(tmp_path, monkeypatch, caplog):
    """A clock that the tests turn, a cache folder of their own, and lines at INFO."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    caplog.set_level(logging.INFO, 'ugatit_jax.common.progress')
    now = [100.0]
    monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
    return now


def test_the_line_before_says_what_it_took_last_time(clock, caplog):
    for seconds in (38, 6):
        with announced('compiling', 'small', usually='a minute'):
            clock[0] += seconds
    with announced('compiling', 'large'):
        pass
    assert caplog.messages == [
        'compiling, for the first time on this machine: a minute',
        'compiling took 38 s',
        'compiling: 38 s last time on this machine',
        'compiling took 6.0 s',
        'compiling, for the first time on this machine',
        'compiling took 0.0 s',
    ]


def test_times_of_work_that_failed_and_of_other_machines_are_not_used(clock, caplog, monkeypatch):
    with pytest.raises(ValueError), announced('compiling'):
        raise ValueError
    assert read_times() == {}
    with announced('compiling'):
        clock[0] += 5
    monkeypatch.setattr(progress.socket, 'gethostname', lambda: 'other')
    with announced('compiling'):
        pass
    assert [message for message in caplog.messages if 'first time' in message] == [
        'compiling, for the first time on this machine'
    ] * 3


@pytest.mark.parametrize('content', [b'', b'[1]', b'{"a": "x"}', b'\xff', b'[' * 100_000, None])
def test_a_damaged_file_or_folder_only_loses_times(tmp_path, content, caplog):
    if content is None:
        (tmp_path / 'ugatit_jax').write_text('no folder')
    else:
        (tmp_path / 'ugatit_jax').mkdir()
        (tmp_path / 'ugatit_jax' / 'seconds.json').write_bytes(content)
    for _ in range(2):
        with announced('compiling'):
            pass
    assert ('compiling: 0.0 s last time on this machine' in caplog.messages) == (content is not None)


def test_the_file_does_not_grow_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, 'MAX_TIMES', 3)
    for i in range(5):
        with announced('compiling', i):
            pass
    kept = json.loads((tmp_path / 'ugatit_jax' / 'seconds.json').read_text())
    assert list(kept) == [progress.key_of('compiling', (i,)) for i in (2, 3, 4)]


def test_nothing_is_said_or_kept_where_info_is_not_logged(tmp_path, caplog, clock):
    caplog.set_level(logging.WARNING, 'ugatit_jax.common.progress')
    with announced('compiling'), Progress('tiles', 100, 'tiles') as shown:
        clock[0] += 1000
        shown.update()
    assert not caplog.messages and not list(tmp_path.iterdir())


def test_lines_say_how_far_it_is_and_what_is_left(clock, caplog):
    for i in track(range(24), 'reading', 24):
        clock[0] += 5 if i < 12 else 11
    assert caplog.messages[:2] == ['reading: 2 of 24 images, 110 s left', 'reading: 4 of 24 images, 100 s left']
    assert len(caplog.messages) == 5 + 2  # every 10 s in the first minute, then every 60 s, and none at the end
    caplog.clear()
    with Progress('video', None, 'frames') as shown:
        clock[0] += 11
        shown.update(7)
    assert caplog.messages == ['video: 7 frames']


def test_a_line_about_a_unit_is_one_of_its_own(clock, caplog, monkeypatch, capsys):
    with Progress('reading', 3) as bar:
        bar.say('x.png: 2 faces')
    assert caplog.messages == ['x.png: 2 faces']
    monkeypatch.setattr(progress.sys.stderr, 'isatty', lambda: True)
    with Progress('reading', 3) as bar:
        bar.say('y.png: 1 face')
    assert caplog.messages == ['x.png: 2 faces'] and 'y.png: 1 face\n' in capsys.readouterr().err


def test_a_terminal_has_a_bar(clock, caplog, monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, 'isatty', lambda: True)
    for _ in track(range(3), 'reading', 3):
        clock[0] += 100
    assert not caplog.messages and 'reading' in capsys.readouterr().err


@pytest.mark.parametrize(
    'seconds, text',
    [
        (0.04, '0.0 s'),
        (9.94, '9.9 s'),
        (38.2, '38 s'),
        (119, '119 s'),
        (721, '12 min'),
        (11_100, '3 h 5 min'),
        (187_200, '2 d 4 h'),
    ],
)
def test_spoken(seconds, text):
    assert spoken(seconds) == text
