"""Out of memory as a line that says what took it and what helps, in place of a page of traceback."""

import contextlib
from collections.abc import Iterator

import jax
from ml_collections import FrozenConfigDict as ConfigDict

from ugatit_jax.errors import UserError, first_line
from ugatit_jax.training.memory import advice, describe, estimate

MARKS = ('RESOURCE_EXHAUSTED', 'Out of memory', 'out of memory', 'bad_alloc', 'Failed to allocate', 'Cannot allocate')


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is the device's or the host's want of memory."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, jax.errors.JaxRuntimeError) and any(mark in str(error) for mark in MARKS)


@contextlib.contextmanager
def explained(config: ConfigDict) -> Iterator[None]:
    """Raises UserError with the estimate by part and what helps in place of an out of memory; config is resolved."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        size = estimate(config, jax.device_count())
        raise UserError(
            '\n  '.join(
                (
                    f'out of memory ({first_line(error)[:200]})',
                    describe(size)[1],
                    f'what helps most: {"; ".join(advice(size, config))}',
                )
            )
        ) from error
