"""What a run appends to, for a workdir on a bucket: kept in a local folder, whose files are copied to the bucket whole.

A bucket has no append: every copy sends all of a file again. So they are few: each COPY_SECONDS, or less often where they
would take more than MAX_TIME_SHARE of the time, and before each checkpoint, so that no row before it is lost.
"""

import logging
import pathlib
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence

from etils import epath

from ugatit_jax.common.errors import first_line
from ugatit_jax.common.files import is_remote, write_bytes
from ugatit_jax.report.history import read_if_there

logger = logging.getLogger(__name__)

COPY_SECONDS = 60.0  # what a reader of the bucket waits at most for a new row; a lost machine loses no more
MAX_TIME_SHARE = 0.05  # of the time: files grow with the run


class Mirror:
    """`folder` is the workdir itself, or, where that is on a bucket, a local folder that is copied there."""

    def __init__(self, workdir: str, names: Sequence[str]):
        """names: files that are there already and will be appended to."""
        self.workdir, self.remote = epath.Path(workdir), is_remote(workdir)
        self.folder = self.workdir
        if not self.remote:
            return
        self.folder = epath.Path(tempfile.mkdtemp(prefix='ugatit_jax-'))
        self.copied, self.lock, self.ended = {}, threading.Lock(), threading.Event()
        for name in names:
            if content := read_if_there(self.workdir / name):
                (self.folder / name).write_bytes(content)
                self.copied[pathlib.Path(name)] = self.version(pathlib.Path(name))
        self.thread = threading.Thread(target=self.keep_copying, name=f'copies to {workdir}', daemon=True)
        self.thread.start()

    def version(self, name: pathlib.Path) -> tuple[int, int]:
        """Changes when a file of the folder changes."""
        status = pathlib.Path(self.folder, name).stat()
        return status.st_size, status.st_mtime_ns

    def keep_copying(self) -> None:
        """Copies until the end; a thread of its own."""
        pause = COPY_SECONDS
        while not self.ended.wait(pause):
            started = time.monotonic()
            self.copy()
            pause = max(COPY_SECONDS, (time.monotonic() - started) / MAX_TIME_SHARE)

    def copy(self) -> None:
        """Copies what has changed; a bucket that does not answer is logged, and asked again the next time."""
        if not self.remote:
            return
        with self.lock:
            try:
                for path in sorted(pathlib.Path(self.folder).rglob('*')):
                    name = path.relative_to(self.folder)
                    if path.is_file() and self.copied.get(name) != (version := self.version(name)):
                        self.copy_file(name)
                        self.copied[name] = version
            except OSError as error:
                logger.warning('%s is not up to date (%s); the training goes on', self.workdir, first_line(error))

    def copy_file(self, name: pathlib.Path) -> None:
        """Copies one file."""
        write_bytes(self.workdir / name.as_posix(), pathlib.Path(self.folder, name).read_bytes())

    def close(self) -> None:
        """Copies a last time and removes the local folder."""
        if self.remote:
            self.ended.set()
            self.thread.join()
            self.copy()
            shutil.rmtree(self.folder, ignore_errors=True)
