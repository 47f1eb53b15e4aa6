"""Parses the command line of ugatit_jax.main, with mistakes in it reported in one line."""

import pathlib

from absl import flags

from ugatit_jax.errors import UserError


def parse_flags(argv: list[str]) -> list[str]:
    """Sets absl's flags from `argv` and returns what is left of it: the program's name and arguments that are no flags.

    Raises UserError, not a traceback, for a config file that does not exist, an unknown field or a value of the wrong type.
    """
    names = [value for arg, value in zip(argv, [*argv[1:], '']) if arg == '--config'] + [
        arg.partition('=')[2] for arg in argv if arg.startswith('--config=')
    ]
    for name in names:
        path = name.partition(':')[0]  # after the colon: the argument of the file's get_config
        if not pathlib.Path(path).is_file():
            raise UserError(f'--config={name}: there is no file {path}; those of this project are in configs/')
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        # ml_collections raises a KeyError of a KeyError: quoted and escaped twice
        text = str(error).replace('\\n', ' ').replace("\\'", "'")
        text = text[1:-1] if text.startswith("''") else text
        raise UserError(' '.join(text.split())) from error
