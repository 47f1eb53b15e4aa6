"""Files that appear under their names when they are complete, and not before."""
import contextlib
import os
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str) -> Iterator[str]:
    """The name of an empty file beside `path` to write into; it becomes `path`, or is removed when something is raised.

    Makes missing folders. What was at `path` before is replaced then, as a name: a link's target is left alone.
    """
    folder = os.path.dirname(path) or '.'
    os.makedirs(folder, exist_ok=True)
    handle, partial = tempfile.mkstemp('.partial', '.', folder)
    try:
        umask = os.umask(0)  # it can only be read by setting it
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)  # temporary files are for their owner alone
        os.close(handle)
        yield partial
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
        raise
