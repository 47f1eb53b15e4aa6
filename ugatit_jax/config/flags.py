"""The flags of ugatit_jax.main from its arguments, with mistakes in them told in one line."""

import pathlib

from absl import flags

from ugatit_jax.errors import UserError


def parse(argv: list[str]) -> list[str]:
    """Parses the flags; a misspelt field or a value of the wrong type is the user's mistake, not a traceback."""
    names = [value for arg, value in zip(argv, [*argv[1:], '']) if arg == '--config'] + [
        arg.partition('=')[2] for arg in argv if arg.startswith('--config=')
    ]
    for name in names:
        path = name.partition(':')[0]  # what follows is the file's own argument
        if not pathlib.Path(path).is_file():
            raise UserError(f'--config={name}: there is no file {path}; those of this project are in configs/')
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        text = str(error).replace('\\n', ' ').replace("\\'", "'")  # ml_collections passes on a quoted KeyError
        text = text[1:-1] if text.startswith("''") else text
        raise UserError(' '.join(text.split())) from error
