"""The page as training writes it."""

import pytest

from tests.helpers.run_workdir import make_workdir, short_row_of
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
