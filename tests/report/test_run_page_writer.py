"""The page as training writes it."""

import threading

import pytest

from tests.helpers.run_workdir import make_workdir, short_row_of
from ugatit_jax.report import run_page_writer
from ugatit_jax.report.run_page import write_run_page
from ugatit_jax.report.run_page_writer import RunPageWriter


def test_the_page_is_written_atomically_and_a_failure_does_not_stop_the_run(tmp_path, monkeypatch, caplog):
    folder = make_workdir(tmp_path / 'run', range(10, 31, 10), short_row_of)
    page = write_run_page(str(folder))
    before = page.read_text()

    def full(self, content):
        with open(self, 'wb') as file:
            file.write(content[:100])
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(type(page), 'write_bytes', full)
    with pytest.raises(OSError, match='No space'):
        write_run_page(str(folder))
    writer = RunPageWriter(str(folder))
    writer.refresh()
    writer.close()
    assert 'No space left' in caplog.text and page.read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ['history.jsonl', 'metrics.jsonl', 'previews', 'report.html']


def test_all_pages_are_written_by_one_thread(monkeypatch):
    """In each other one Matplotlib opens its fonts again, and keeps them open."""
    threads = []
    monkeypatch.setattr(run_page_writer, 'write_run_page', lambda workdir: threads.append(threading.get_ident()))
    monkeypatch.setattr(run_page_writer, 'MAX_TIME_SHARE', float('inf'))
    writer = RunPageWriter('run', before=lambda: threads.append(threading.get_ident()))
    for _ in range(3):
        writer.refresh()
        writer.writing.result()
    writer.close()
    assert len(threads) == 7 and len({*threads, threading.get_ident()}) == 2


def test_what_fails_before_a_page_is_logged(monkeypatch, caplog):
    def fail():
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(run_page_writer, 'write_run_page', lambda workdir: None)
    writer = RunPageWriter('run', before=fail)
    writer.refresh()
    writer.close()
    assert caplog.text.count('No space left') == 1
