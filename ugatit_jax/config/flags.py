"""Parses the command line of ugatit_jax.main, with mistakes in it reported in one line."""

import re
import traceback

from absl import flags
from ml_collections import ConfigDict

from ugatit_jax.common.errors import UserError, named_line
from ugatit_jax.config.config_files import find_config
from ugatit_jax.config.fields import validate_name

FLAG = '--config'


def parse_flags(argv: list[str]) -> list[str]:
    """Sets absl's flags from `argv` and returns what is left of it: the program's name and arguments that are no flags.

    Raises UserError, not a traceback, for a config file that does not exist or that raises, an unknown field or a value of
    the wrong type.
    """
    argv, files = list(argv), []
    for i, argument in enumerate(argv):
        if argument.startswith(f'{FLAG}='):
            files.append(find_config(argument.removeprefix(f'{FLAG}=')))
            argv[i] = f'{FLAG}={files[-1]}'
        elif argument == FLAG and i + 1 < len(argv):
            files.append(find_config(argv[i + 1]))
            argv[i + 1] = files[-1]
    for argument in argv[1:]:
        if argument.startswith(f'{FLAG}.'):
            validate_name(re.split(r'[=\[]', argument.removeprefix(f'{FLAG}.'), maxsplit=1)[0])
    try:
        left = flags.FLAGS(argv)
    except UserError:
        raise
    except Exception as error:  # a config file is a program, and may raise anything
        if found := error_in(error, [name.partition(':')[0] for name in files]):
            raise UserError(found) from error
        if not isinstance(error, flags.Error | AttributeError | LookupError | OSError | TypeError | ValueError):
            raise
        # ml_collections raises a KeyError of a KeyError: quoted and escaped twice
        text = str(error).replace('\\n', ' ').replace("\\'", "'")
        text = text[1:-1] if text.startswith("''") else text
        raise UserError(' '.join(text.split())) from error
    if files and not isinstance(config := flags.FLAGS['config'].value, ConfigDict):
        kind = type(config).__name__
        raise UserError(f'{FLAG}={files[-1]}: get_config() returns {kind}, no ConfigDict; hint: return config')
    return left


def error_in(error: BaseException | None, files: list[str]) -> str:
    """'FILE:LINE: ERROR' where a config file raised it or could not be parsed or called; '' for an error of anything else.

    ml_collections wraps it into others, whose messages are pages.
    """
    while error is not None:
        if isinstance(error, SyntaxError):
            return f'{error.filename}:{error.lineno}: SyntaxError: {error.msg}'
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        if frames and not isinstance(error, UserError):
            return f'{frames[-1].filename}:{frames[-1].lineno}: {named_line(error)}{hint_for(error)}'
        if isinstance(error, TypeError) and str(error).startswith('get_config() '):  # not called: --config=demo:argument
            return f'{FLAG}={files[-1]}: {error}; what follows the colon is its argument'
        if isinstance(error, AttributeError) and error.name == 'get_config':
            return f'{FLAG}={files[-1]}: there is no get_config() in it; configs/demo.py has one'
        error = error.__cause__ or error.__context__
    return ''


def hint_for(error: BaseException) -> str:
    """What to write instead of an import that works in a checkout only."""
    if isinstance(error, ModuleNotFoundError) and error.name == 'configs':
        return '; from ugatit_jax.config import default works from any folder'
    return ''
