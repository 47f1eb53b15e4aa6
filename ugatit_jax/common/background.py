"""Work in a thread of its own, beside that of the program."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Self, TypeVar

Result = TypeVar('Result')
running: set[Future] = set()  # the calls of this process that have not ended


class Background(Generic[Result]):
    """A call that runs beside its caller from `start` on.

    A context manager, which waits for its end, but not where it is left by an exception: Ctrl-C ends it at once.
    """

    def __init__(self, call: Callable[[], Result]):
        self.call, self.executor = call, ThreadPoolExecutor(1)
        self.future: Future[Result] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        self.executor.shutdown(wait=kind is None)

    def start(self) -> None:
        """Starts the call, once."""
        if self.future is None:
            self.future = self.executor.submit(self.call)
            running.add(self.future)
            self.future.add_done_callback(running.discard)

    def result(self) -> Result:
        """What the call returned; waits for it, and raises what it raised."""
        self.start()
        return self.future.result()
