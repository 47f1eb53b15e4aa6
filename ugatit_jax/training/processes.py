"""Several processes of one run: what they have to agree on at the start, and what the others do when one has died."""

import contextlib
import functools
import hashlib
import json
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import FrozenConfigDict as ConfigDict
from orbax.checkpoint import multihost

import ugatit_jax
from ugatit_jax.checkpoint.checkpoints import Checkpoints
from ugatit_jax.checkpoint.compatibility import as_json, differences
from ugatit_jax.common.errors import CommandExit, UserError, first_line
from ugatit_jax.report import history

OF_THE_HOST = ('config.data.cache_dir', 'config.data.data_dir', 'config.data.workers')  # may differ
COMPILED_WITHIN_MS = 3_600_000  # an hour: more than any step has taken to compile
# in the errors of collectives whose other end has gone: of Gloo (CPU), NCCL (GPU) and JAX's coordination service
LOST = ('Gloo', 'NCCL', 'closed by peer', 'coordination service', 'distributed service', 'heartbeat')


class ProcessLost(CommandExit):
    """Another process of the run has died; its code is that of the abort where JAX notices first."""

    code, at_once = 134, True


def validate_agreement(config: ConfigDict, workdir: str) -> None:
    """Raises UserError in all processes where one has other settings or other code than the first; config is resolved."""
    if jax.process_count() == 1:
        return
    mine = {'config': as_json(config), 'workdir': str(workdir), 'code': code_version()}
    first = json.loads(broadcast_text(json.dumps(mine)))
    found = {name: pair for name, pair in differences(first, mine).items() if name not in OF_THE_HOST}
    differing = np.flatnonzero(multihost_utils.process_allgather(np.asarray(bool(found))))
    if not differing.size:
        return
    what = f'as process {differing[0]} says itself'
    if found:
        what = ', '.join(f'{name.removeprefix("config.")}={here} (there {there})' for name, (there, here) in found.items())
    raise UserError(
        f'process {jax.process_index() if found else differing[0]} has other settings or other code than process 0: {what}; '
        'start all with the same flags, from the same version'
    )


def broadcast_text(text: str) -> str:
    """The text of the first process, in all of them."""
    content = np.frombuffer(text.encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.asarray(content.size)))
    padded = np.pad(content[:size], (0, max(size - content.size, 0)))
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).astype(np.uint8).tobytes().decode()


@functools.cache
def code_version() -> dict[str, str]:
    """Versions of the packages, and a digest of this one's code."""
    digest, root = hashlib.sha256(), pathlib.Path(ugatit_jax.__file__).parent
    for path in sorted(root.rglob('*.py')):
        digest.update(f'{path.relative_to(root)}\n'.encode() + path.read_bytes())
    return history.environment()['versions'] | {'digest': digest.hexdigest()[:12]}


def wait_until_all_compiled() -> None:
    """Waits for the other processes, which may compile what this one finds in its cache.

    On CPUs the first collective waits for the others for 30 seconds, and then takes them for lost.
    """
    if jax.process_count() > 1:
        multihost.get_barrier_sync_fn()(key='compiled', timeout_ms=COMPILED_WITHIN_MS)


@contextlib.contextmanager
def explain_lost_process(checkpoints: Checkpoints) -> Iterator[None]:
    """Raises ProcessLost in place of the error of a collective whose other end has died; no save is waited for then."""
    try:
        yield
    except (ValueError, RuntimeError) as error:  # Gloo's and JAX's
        if jax.process_count() == 1 or not any(text in str(error) for text in LOST):
            raise
        checkpoints.broken = True
        raise ProcessLost(
            f'another process of this run has ended ({first_line(error)[:150]}); the same command in all of them '
            'continues from the last complete checkpoint'
        ) from error
