"""The one exception that a user's mistake raises; main prints its line and exits with 2."""


class UserError(Exception):
    """Bad input (file, flag, config, checkpoint): the message says what was wrong, where, and the way out."""


def named_line(error: Exception) -> str:
    """'TYPE: first line' of an exception, shortened, where its type says more than its message."""
    return f'{type(error).__name__}: {(str(error).strip().splitlines() or [""])[0][:200]}'


def first_line(error: Exception) -> str:
    """The first line of an exception's message, or its type where it has none, for one-line reports."""
    return (str(error).splitlines() or [type(error).__name__])[0]
