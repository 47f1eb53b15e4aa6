"""The one exception that a user's mistake raises; main prints its line and exits with 2."""


class UserError(Exception):
    """Bad input (file, flag, config, checkpoint): the message says what was wrong, where, and the way out."""


def first_line(error: Exception) -> str:
    """The first line of an exception's message, or its type where it has none, for one-line reports."""
    return (str(error).splitlines() or [type(error).__name__])[0]
