"""The exceptions that end a command with one line, and one-line forms of other exceptions."""

import itertools
from collections.abc import Collection

MAX_LINE = 200  # characters of an error that is not ours, in a line of ours


class CommandExit(Exception):
    """Ends a command with its message as the one line on stderr, and with exit code `code`."""

    code = 1
    at_once = False  # whether the process ends without waiting for anything, such as other processes

    def __init__(self, message: str):
        super().__init__(printable(message))


class UserError(CommandExit):
    """Bad input (file, flag, config, checkpoint): the message says what was wrong, where, and gives a hint."""

    code = 2


def printable(text: str) -> str:
    """The text with undecodable bytes of file names escaped: printing them would raise."""
    return text.encode('utf-8', 'backslashreplace').decode()


def listed(items: Collection[str], most: int) -> str:
    """'a, b' or, of more than `most` items, 'a, b and 3 more'."""
    shown = ', '.join(itertools.islice(items, most))
    return f'{shown} and {len(items) - most} more' if len(items) > most else shown


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def short_line(error: BaseException) -> str:
    """`first_line`, shortened: a line of XLA, TensorStore or a parser may quote a page."""
    return first_line(error)[:MAX_LINE]


def named_line(error: BaseException) -> str:
    """'TYPE: first line' of an exception, shortened, where its type says more than its message."""
    return f'{type(error).__name__}: {(str(error).strip().splitlines() or [""])[0][:MAX_LINE]}'
