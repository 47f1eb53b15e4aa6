"""The folder of a run: made, held against other runs, rid of what killed processes left half written; and its I/O errors."""

import contextlib
from collections.abc import Iterator

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from ugatit_jax.common.errors import UserError, first_line
from ugatit_jax.common.files import is_remote, make_folder, remove_abandoned, validate_writable
from ugatit_jax.training.lease import Lease


@contextlib.contextmanager
def hold_workdir(workdir: str) -> Iterator[Lease | None]:
    """Makes the workdir and holds it; the first process has the lease, and all raise UserError where it is refused."""
    make_directory(workdir)
    with contextlib.ExitStack() as stack:
        lease, refusal = None, None
        if jax.process_index() == 0:
            try:
                lease = stack.enter_context(Lease(workdir))
            except UserError as error:
                refusal = error
        if jax.process_count() > 1 and multihost_utils.broadcast_one_to_all(np.asarray(refusal is not None)):
            refusal = refusal or UserError(f'{workdir} is held by another run, as the first process says')
        if refusal:
            raise refusal
        if lease and not is_remote(workdir):
            for folder in ('', 'previews'):
                remove_abandoned(str(epath.Path(workdir) / folder))
        yield lease


def validate_workdir(workdir: str) -> None:
    """Raises UserError where a bucket cannot be written, before anything takes time."""
    if is_remote(workdir):
        validate_writable(workdir)


def make_directory(workdir: str) -> str:
    """Makes the workdir; raises UserError where that is not possible."""
    if is_remote(workdir):  # has no folders to make
        return workdir
    make_folder(workdir, f'--workdir={workdir}')
    return workdir


@contextlib.contextmanager
def explain_io_errors(workdir: str) -> Iterator[None]:
    """Raises UserError with the file, the reason and how to go on in place of an OSError: a full disk, a lost folder."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f'{error.filename or workdir}: {error.strerror or first_line(error)}; mend that, and the same command '
            'continues from the last complete checkpoint'
        ) from error
