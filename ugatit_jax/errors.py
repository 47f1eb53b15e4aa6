"""The one exception that a user's mistake raises; main prints its line and exits with 2."""


class UserError(Exception):
    """Bad input (file, flag, config, checkpoint): the message says what was wrong, where, and the way out."""
